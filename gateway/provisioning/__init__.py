"""A gateway that is set up by a file on its boot partition, which any laptop can write."""

from gateway.provisioning.boot_file import BOOT, Outcome, Verdict, provision

__all__ = ["BOOT", "Outcome", "Verdict", "provision"]
