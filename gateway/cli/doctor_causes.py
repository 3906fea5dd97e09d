"""The sentences of `submeter doctor`: each cause with what is wrong and the one thing to do next."""

from __future__ import annotations

from typing import Final

from gateway.cli.language import N_
from gateway.errors import MEND_FAILING

CAUSES: Final = {
    # ---- a line
    "swapped": (
        N_("A and B are exchanged."),
        N_("swap the two wires A and B at the adapter, and ask again"),
    ),
    "silent_line": (
        N_("The line is dead: open, or no meter has power."),
        N_("check the power of the meters, then the cable from the adapter to the first of them"),
    ),
    "setting": (
        N_("Wrong setting: the meters answer at %(setting)s, the bus is configured as %(asked)s."),
        N_("write the setting %(setting)s for this bus (baudrate, parity, stopbits), then: submeter reload"),
    ),
    "renumbered": (
        N_("The adapter has another name now: the meters answer on %(there)s, not on %(port)s."),
        N_("write port: %(there)s for this bus, then: submeter reload"),
    ),
    "bias": (
        N_("The line has no bias: it floats while nobody talks."),
        N_(
            "switch on the bias resistors at one place, best at the adapter: D+ to 5 V, D- to ground (makers "
            "call D+ A or B)"
        ),
    ),
    "termination": (
        N_("Reflections: the termination is missing, or the cable is too long for this rate."),
        N_("set 120 Ω at both ends of the cable and nowhere else, no branches; then a lower rate"),
    ),
    "interference": (
        N_("Interference gets into the line."),
        N_("lay the cable away from inverters and power cables, and ground its shield at one end"),
    ),
    "brown_out": (
        N_("The USB adapter falls off the bus again and again: weak power, or a ground loop."),
        N_("use an isolated adapter on a powered hub or a stronger supply, with a short USB cable"),
    ),
    "second_master": (
        N_("Another master asks the meters of this line: a line has one."),
        N_("find the other master (a logger, an energy manager, a second gateway) and take it off"),
    ),
    "duplicate": (
        N_("Two meters answer at address %(address)s."),
        N_("switch one of them off, give the other a free address at its display, then both on again"),
    ),
    "too_fast": (
        N_("It is asked faster than it can answer (address %(address)s)."),
        N_("write pause: 300ms for this meter, then: submeter reload"),
    ),
    "not_ready": (
        N_("It answers every question that it is not ready or busy (exception %(code)s)."),
        N_("take other masters off it, write interval: 60s for it, restart it; then ask again"),
    ),
    "failing": (
        N_("It answers every question that it has a fault of its own (exception %(code)s)."),
        MEND_FAILING,
    ),
    "slow_answers": (
        N_("It answers later than is waited for (address %(address)s)."),
        N_("write timeout: %(patience)s for this meter, then: submeter reload"),
    ),
    "not_kept": (
        N_("The meter has not kept its setting: it answers at address %(there)s, %(setting)s."),
        N_("set address and rate at its display again, and leave the menu by saving (is it locked?)"),
    ),
    "other_unit": (
        N_("Asked at address %(address)s it answers in the name of %(there)s, so no answer is believed."),
        N_("set one address in the meter and in the converter before it, and write it as address: here"),
    ),
    "silent_meter": (
        N_("No answer at address %(address)s, while others answer or could."),
        N_("check its power, its address at the display, then A and B at its own terminals"),
    ),
    # ---- a host
    "connection_limit": (
        N_("%(where)s ends connections at once: it has no room for another master."),
        N_("end the other program that holds a connection to it, or raise its number of clients"),
    ),
    "rtu_framing": (
        N_("%(where)s speaks RTU over TCP, not Modbus TCP."),
        N_("write type: rtu-over-tcp for this bus, then: submeter reload"),
    ),
    "gateway_line": (
        N_("%(where)s answers, the meters behind it do not."),
        N_("check the line behind the converter: its rate and parity, A and B, the addresses"),
    ),
    "host_silent": (
        N_("%(where)s takes the connection and answers nothing."),
        N_("check the meter's address (unit) and that port %(port)s is the one for Modbus"),
    ),
    # ---- what a meter says
    "function": (
        N_("Its registers are read with the wrong function (table %(driver)s, exception %(code)s)."),
        N_("change the table: %(lines)s"),
    ),
    "off_by_one": (
        N_("Every address of the table %(driver)s is off by one: %(change)s."),
        N_("change the table: %(lines)s"),
    ),
    "byte_order": (
        N_("The table %(driver)s has the wrong order or kind of numbers: %(change)s."),
        N_("change the table: %(lines)s"),
    ),
    "scale": (
        N_("The table %(driver)s is off by a power of ten."),
        N_("compare with the display: submeter drivers try %(driver)s says which column"),
    ),
    "too_long": (
        N_("It refuses to give %(asked)s registers at once."),
        N_("write max_registers: %(most)s for this meter, then: submeter reload"),
    ),
    "ratio": (
        N_("Its own transformer ratio (%(what)s) is %(meter_ratio)s, the configuration has %(typed)s."),
        N_("read the plate of the transformer, and mend the one of the two that is wrong"),
    ),
    "ratio_twice": (
        N_("The transformer ratio counts twice: the meter multiplies by %(meter_ratio)s already."),
        N_("write values: primary for this meter, then: submeter reload"),
    ),
    "wiring_unsure": (
        N_("Its powers do not fit a right wiring; one moment does not tell which mistake it is."),
        N_("record a day, then: submeter wiring %(meter)s; or switch on a known load and ask again"),
    ),
    # ---- the way to the platform
    "broker_certificate": (
        N_("The certificate of %(host)s ends on %(until)s."),
        N_("tell the platform's operator to renew it before %(until)s"),
    ),
    "topic_refused": (
        N_("The broker does not let this gateway hear %(topic)s."),
        N_("allow the topic %(topic)s in the broker's access list, see config/mosquitto-acl.example"),
    ),
    "publish_refused": (
        N_("The broker does not take batches: %(why)s."),
        N_("allow this gateway to write to %(topic)s in the broker's access list"),
    ),
    "nobody_listens": (
        N_("The broker takes the batch, and nobody there listens to %(topic)s."),
        N_("start the platform's receiver, and check its subscription"),
    ),
    "no_receipt": (
        N_("%(consumer)s does not confirm what it gets."),
        N_("check that the receiver %(consumer)s runs, has room, and may write its receipts"),
    ),
    "set_aside": (
        N_("Batches that the broker does not take, although it takes others: %(count)s."),
        N_("see submeter status: it says why they are refused"),
    ),
    # ---- this machine
    "clock_wrong": (
        N_("The clock of this machine is wrong."),
        N_("set it: sudo timedatectl set-ntp true; without a network: sudo timedatectl set-time …"),
    ),
    "clock_no_keeper": (
        N_("Nobody keeps the clock: no time service runs."),
        N_("sudo apt install systemd-timesyncd, or chrony"),
    ),
    "clock_unsynced": (
        N_("The time service %(keeper)s reaches no server."),
        N_("allow NTP (UDP 123) in the firewall, or name a local server in /etc/systemd/timesyncd.conf"),
    ),
    "disk_read_only": (
        N_("The file system of %(place)s is mounted read-only."),
        N_("look at dmesg for errors of the card; replace it if there are any, then restart"),
    ),
    "disk_sync": (
        N_("The file system of %(place)s is mounted with sync: every write wears the card at once."),
        N_("take sync out of its line in /etc/fstab, and restart"),
    ),
    "disk_errors": (
        N_("The file system of %(device)s has noticed errors: %(count)s."),
        N_("replace the card soon, after: submeter journal export"),
    ),
    "disk_worn": (
        N_("The memory of %(device)s has used up %(percent)s %% of its life."),
        N_("replace the memory at the next visit"),
    ),
    "disk_busy": (
        N_("This machine writes %(gigabytes)s GB a year to its card."),
        N_("write card: {remount: yes} and restart it, or log to memory (journald: Storage=volatile)"),
    ),
    "undervoltage": (
        N_("The power supply is too weak: the voltage fell below what the machine needs."),
        N_("use the supply of 5.1 V that belongs to this machine, with a short cable"),
    ),
    "slowed_down": (
        N_("The machine has slowed itself down."),
        N_("let air to it, and look at temperature and supply"),
    ),
    "hot": (
        N_("The processor is at %(degrees)s °C."),
        N_("let air to it, take it off other sources of heat"),
    ),
    "little_memory": (
        N_("Only %(megabytes)s MB of memory are free."),
        N_("end other programs on this machine"),
    ),
    "unstable_name": (
        N_("The port of bus %(bus)s, %(port)s, changes its name when adapters are plugged in."),
        N_("write the name that stays: %(better)s (submeter ports)"),
    ),
    "slow_adapter": (
        N_("The adapter of bus %(bus)s hands bytes on %(ms)s ms late."),
        N_("echo 1 | sudo tee %(file)s"),
    ),
    "open_broker": (
        N_("A broker without encryption listens for the whole network on port 1883."),
        N_("let it listen on this machine alone: listener 1883 127.0.0.1"),
    ),
}  # fmt: skip
"""Cause → what is wrong, what to do next."""

FEATURES: Final = {
    "nobody": N_("no whole answer in %(reads)s reads at %(asked)s"),
    "mute": N_("not one byte came"),
    "breaks": N_("each request is followed by a break and nothing else"),
    "garbage": N_("bytes come after each request, never a frame"),
    "elsewhere": N_("they answer at %(setting)s"),
    "idle_noise": N_("%(noise)s bytes a second come while nobody asks"),
    "damage": N_("%(bad)s of the answers are damaged or missing"),
    "grows": N_("long answers fail more often: %(long_bad)s, short ones %(short_bad)s"),
    "spread": N_("some meters suffer much more than others"),
    "clustered": N_("failures come one after another"),
    "lead": N_("%(lead)s of the answers have a strange byte in front"),
    "tail": N_("strange bytes follow the answers"),
    "one_only": N_("the other meters answer without a fault"),
    "always": N_("short answers are damaged as often as long ones, and none is missing"),
    "two": N_("there are two answers, or two serial numbers"),
    "hasty": N_("asked after a rest, it answers every time"),
    "busy": N_("it says itself that it is not ready (exception 5 or 6)"),
    "late": N_("answers come after the time-out"),
    "foreign": N_("requests of somebody else were heard: %(masters)s"),
    "port_lost": N_("the port has vanished and come back"),
    "marks": N_("the port counts damaged characters"),
}
"""Features of a line as evidence."""

EVIDENCE: Final = {
    "exception": N_("the meter refuses with exception %(code)s"),
    "has_every_row": N_("with %(change)s the meter has every row of the table, as written it refuses some"),
    "fits_better": N_("checks of its values that hold with %(change)s: %(checks)s"),
    "closed_at_once": N_("connections were closed before an answer: %(closed)s"),
    "sometimes_refused": N_("a connection was refused, another one taken"),
}

ALIKE: Final = {
    frozenset(("swapped", "silent_line")): N_(
        "Swap A and B: if bytes or answers come then, it was that; else look for power and cable."
    ),
    frozenset(("bias", "interference")): N_(
        "Ask again when the large loads are off: interference is gone then, a missing bias is not."
    ),
    frozenset(("termination", "interference")): N_(
        "Ask again when the large loads are off: interference is gone then, reflections are not."
    ),
    frozenset(("termination", "duplicate")): N_(
        "Switch the meter off: if somebody still answers at its address, there are two."
    ),
    frozenset(("bias", "duplicate")): N_(
        "Switch the meter off: if somebody still answers at its address, there are two."
    ),
    frozenset(("interference", "second_master")): N_(
        "Take the line off the meters at the adapter's end: what still comes is interference."
    ),
}
"""What tells two causes apart that look alike."""

OBSERVATIONS: Final = {
    "clock": N_("clock: kept by %(keeper)s"),
    "clock_alone": N_("clock: nobody vouches for it"),
    "clock_trusted": N_("clock: taken as right, as clock.trust says"),
    "disk": N_("disk: %(free)s GB of %(total)s GB are free at %(place)s"),
    "wear": N_("wear of the memory: %(percent)s %%"),
    "card_often": N_(
        "this configuration costs the card about %(gigabytes)s GB a year; with card: {remount: yes} "
        "%(other)s"
    ),
    "card_seldom": N_(
        "this configuration costs the card about %(gigabytes)s GB a year; without card.remount %(other)s"
    ),
    "written": N_("written to the disk: %(gigabytes)s GB a year"),
    "power": N_("power supply"),
    "temperature": N_("temperature: %(degrees)s °C"),
    "memory": N_("memory: %(megabytes)s MB free"),
    "listens": N_("reached from the network on ports %(ports)s"),
    "configuration": N_("configuration and files"),
    "port": N_("port %(port)s"),
    "meters": N_("%(count)s of %(all)s meters answer"),
    "reads": N_("%(good)s of %(all)s reads are good, an answer begins after %(ms)s ms"),
    "echo": N_("the adapter hears what it says itself; that is harmless"),
    "host": N_("%(where)s: %(count)s of %(all)s meters answer"),
    "no_meters": N_("no meter is configured here: submeter scan finds them"),
    "files": N_("password and certificate files"),
    "name": N_("name: %(host)s is %(addresses)s"),
    "connection": N_("connection to %(where)s: %(ms)s ms"),
    "tls": N_("%(version)s, certificate good until %(until)s (days left: %(days)s)"),
    "tls_none": N_("no encryption to %(where)s"),
    "credentials": N_("the broker accepts this gateway"),
    "subscribe": N_("receipts and commands may be heard"),
    "publish": N_("the broker takes a batch"),
    "receipt": N_("the platform has confirmed it after %(ms)s ms"),
    "receipt_of_daemon": N_("the platform has confirmed something %(seconds)s s ago"),
    "delivery_of_daemon": N_("the broker has taken something %(seconds)s s ago"),
    "nothing_delivered_yet": N_("nothing has been delivered since the start: ask again in a minute"),
    "other_dialect": N_(
        "what goes to a %(dialect)s platform is not tried from here: ask again while the gateway runs"
    ),
    "nothing_stored": N_("no reading is stored yet that could be sent: start the gateway, and ask again"),
    "not_connected_yet": N_("the running gateway is not connected yet: ask again in a minute"),
}  # fmt: skip
"""What was looked at."""

STAGES: Final = {
    "listen": N_("listening"),
    "first": N_("reading"),
    "more": N_("reading"),
    "reads": N_("reading"),
    "doubt": N_("looking closer"),
    "settings": N_("trying other settings"),
    "values": N_("judging the values"),
    "host": N_("connecting"),
    "files": N_("files"),
    "name": N_("looking up the name"),
    "connection": N_("connecting"),
    "tls": N_("checking the certificate"),
    "round_trip": N_("a batch out and its receipt back"),
}

WHO: Final = {
    "network": N_("the building's network"),
    "operator": N_("the platform's operator"),
}
"""Who must act, if not whoever is here."""
