"""Is a configuration good? Every mistake of the file, of the meter tables and of the files that it names, in
one run.

`check` is what the commands and a reload ask; `check_machine` asks this machine too. Nothing is opened on
a bus, nothing is written.
"""

from gateway.check.certificates import validities
from gateway.check.configuration import Checked, check, load
from gateway.check.machine import check_machine

__all__ = ["Checked", "check", "check_machine", "load", "validities"]
