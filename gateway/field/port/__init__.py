"""Bytes to and from a serial port or a TCP connection: opening it, the frames of Modbus RTU and Modbus TCP,
one request in flight.
"""
