"""The technician's window: for ten minutes after the button was held, one browser sees more and may do two
things.
"""
