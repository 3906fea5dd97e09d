"""The tables of the platform's database, and how every version ever shipped becomes the present one."""
