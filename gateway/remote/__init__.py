"""What a platform may do from afar: certify a gateway's key, look after it by signed commands. Off until
configured.
"""
