"""Is a configuration good? Every mistake of the file, of the meter tables and of the files that it names, in
one run.

`check` is what the commands and a reload ask; `look_here` asks this machine too. Nothing is opened on a bus,
nothing is written.
"""

from gateway.check.configuration import Checked, check, load
from gateway.check.machine import look_here

__all__ = ["Checked", "check", "load", "look_here"]
