"""A gateway that is set up by a file on its boot partition, which any laptop can write."""

from gateway.provisioning.boot_file import BOOT, BootFileOutcome, Verdict, provision
from gateway.provisioning.enrolled import Enrolled, keep_answer, tell_answers

__all__ = ["BOOT", "BootFileOutcome", "Enrolled", "Verdict", "keep_answer", "provision", "tell_answers"]
