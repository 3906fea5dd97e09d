"""What faults from other people's public reports, and attacks of our own, did to the gateway: before and
after they were mended.

The rows are written by hand: each fault was a script with devices and brokers of its own, run against the
gateway as a process on a busy machine with two cores. The tests beside them hold the whole kind.
`tests.reliability` puts the tables into docs/reliability.md.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Found:
    """A fault in words; what it did before, and what it does now; a test that holds it, `file::test` below
    tests/, and another one.
    """

    fault: str
    before: str
    after: str
    held_by: str
    and_by: str = ""

    @property
    def tests(self) -> tuple[str, ...]:
        """The tests that hold it."""
        return tuple(filter(None, (self.held_by, self.and_by)))


REPORTED = (
    Found(
        "one 0x00 behind every reply on a serial line",
        "0 whole readings of 12",
        "11 of 12",
        "field/test_odd_noise.py::test_noise_beside_a_frame_costs_nothing",
    ),
    Found(
        "three 0x00 behind every reply",
        "0 of 12",
        "11 of 12",
        "field/test_odd_noise.py::test_noise_beside_a_frame_costs_nothing",
    ),
    Found(
        "control: no byte behind, two in front",
        "12 of 12",
        "11 of 12",
        "field/test_odd_noise.py::test_noise_beside_a_frame_costs_nothing",
    ),
    Found(
        "Modbus TCP gateway that numbers its replies one too high",
        "0 of 12, “check its address and power”",
        "10 of 12, difference said",
        "field/test_odd_replies.py::test_numbers_that_differ_in_a_constant_way_are_learnt",
    ),
    Found(
        "… that gives the same number for ever",
        "0 of 12",
        "10 of 12, difference said",
        "field/test_odd_replies.py::test_the_first_number_for_ever_is_a_constant_one_and_no_late_reply",
    ),
    Found(
        "… control: that gives 0",
        "12 of 12",
        "11 of 12; two check reads are paid for",
        "field/test_odd_replies.py::test_numbers_that_differ_in_a_constant_way_are_learnt",
    ),
    Found(
        "exception whose header says a length of 4",
        "9 of 20, reason `bad_frame`",
        "20 of 20, reason `exception_2`",
        "field/test_odd_replies.py::test_an_exception_has_nine_bytes_whatever_its_header_says",
    ),
    Found(
        "dongle that stays dead when asked within 2 s of connecting",
        "0 of 8, for ever",
        "8 of 8, pause learnt",
        "field/test_odd_connections.py::test_a_device_that_needs_rest_after_connecting_gets_it",
    ),
    Found(
        "… that hangs up then",
        "0 of 8, for ever",
        "8 of 8, pause learnt",
        "field/test_odd_connections.py::test_a_device_that_needs_rest_after_connecting_gets_it",
    ),
    Found(
        "… control: that ignores what comes too early",
        "7 of 8, after 20 s",
        "8 of 8",
        "field/test_odd_connections.py::test_a_device_that_needs_rest_after_connecting_gets_it",
    ),
    Found(
        "server that closes after each reply, three reads a poll",
        "0 of 10, two log lines a poll",
        "9 of 10, no line for it",
        "field/test_odd_connections.py::test_a_server_that_ends_each_connection_gives_every_value",
    ),
    Found(
        "meter that is deaf for 200 ms after its own answer",
        "0 of 18, lost",
        "18 of 18, pause learnt",
        "field/test_silent_read.py::test_a_meter_that_is_deaf_after_its_answer_gets_a_pause",
    ),
    Found(
        "… control: 3 ms",
        "19 of 18",
        "19 of 18",
        "field/test_silent_read.py::test_a_meter_that_is_deaf_after_its_answer_gets_a_pause",
    ),
    Found(
        "gateway that waits 5 s for a dead meter before it says so, three meters beside it",
        "3, 3 and 7 of 24; “check its address”",
        "23 of 24 each, 20 on a machine with six times the work it can do; the dead one is said to be "
        "`exception_11`",
        "field/test_odd_gateways.py::test_a_gateway_that_waits_for_a_dead_slave_for_long_costs_no_other_meter_its_reply",
    ),
    Found(
        "… one meter beside it",
        "7 of 24",
        "25 of 24",
        "field/test_odd_gateways.py::test_a_gateway_that_waits_for_a_dead_slave_costs_the_others_one_wait",
    ),
    Found(
        "… that waits 3 s",
        "22 of 24",
        "24 of 24",
        "field/test_odd_gateways.py::test_a_gateway_that_waits_for_a_dead_slave_costs_the_others_one_wait",
    ),
    Found(
        "… that waits 5 s for each of two dead ones, three beside them",
        "not tried",
        "34 of 36 each",
        "field/test_odd_gateways.py::test_a_gateway_that_waits_for_a_dead_slave_for_long_costs_no_other_meter_its_reply",
    ),
    Found(
        "… control: 0.3 s",
        "all",
        "12 of 12",
        "field/test_odd_gateways.py::test_a_late_reply_is_the_answer_when_its_number_says_so",
    ),
    Found(
        "broker with `max_packet_size 8192`, 25 meters",
        "0 batches, for ever",
        "all, cut to it",
        "uplink/test_uplink_limits.py::test_batches_go_although_one_and_the_meters_are_too_large",
    ),
    Found(
        "broker with `message_size_limit 8192`, MQTT 3.1.1",
        "0 batches, for ever",
        "all; the message and its size are named",
        "uplink/test_uplink_limits.py::test_batches_go_although_one_and_the_meters_are_too_large",
    ),
    Found(
        "… control: a limit of 100 000",
        "all",
        "all",
        "uplink/test_uplink_limits.py::test_what_cannot_be_divided_stays_whole_and_without_a_limit_nothing_is_cut",
    ),
    Found(
        "broker with `max_qos 0`",
        "“check username, password_file, cert”",
        "named as what it is, with the broker's setting",
        "uplink/test_uplink_limits.py::test_a_broker_with_qos_0_only_is_named_as_what_it_is",
    ),
    Found(
        "byte order mark in a password file",
        "“Not authorized”",
        "the mark does no harm",
        "config/test_outside.py::test_a_password_file_is_one_line_of_plain_text",
    ),
    Found(
        "… in the configuration or a table, with CRLF; UTF-16 or another code page there",
        "read; refused in words, always as line 1",
        "read; refused with the line",
        "config/test_outside.py::test_a_byte_order_mark_and_crlf_do_no_harm",
        "config/test_outside.py::test_other_encodings_are_named_with_their_line",
    ),
    Found(
        "another master on the line that asks another unit each second",
        "25 to 29 of 30; not named",
        "27 of 30, named; no register is left out for it",
        "field/test_odd_noise.py::test_another_master_is_named_and_costs_one_more_read",
    ),
    Found(
        "name servers of which the first two are dead",
        "broker reached, no meter by name ever",
        "27 of 27 polls of six meters",
        "field/test_connecting.py::test_a_name_that_takes_long_is_reached_in_the_end",
    ),
    Found(
        "no name server at all; then one that works",
        "page and commands stay quick; all back by itself",
        "the same",
        "field/test_connecting.py::test_a_look_up_that_hangs_keeps_nobody",
    ),
    Found(
        "two gateways with one id, MQTT 3.1.1",
        "both named, 19 connections in 150 s, all delivered",
        "the same",
        "uplink/test_uplink_taken_over.py::test_one_that_is_there_from_the_start_is_suspected_and_nothing_is_left_out_when_it_is_gone",
    ),
    Found(
        "USB adapter pulled while nothing is read",
        "closed at once, read at the next poll",
        "the same",
        "field/test_bus_faults.py::test_an_adapter_gone_and_back",
    ),
    Found(
        "port without rights or in use; host unknown, refused, no route",
        "“cannot be opened”, with no reason",
        "the reason and its action, for each",
        "field/test_connecting.py::test_a_port_without_rights_gets_the_advice_that_belongs_to_it",
        "field/test_connecting.py::test_each_error_of_a_host_has_its_words",
    ),
    Found(
        "journal's folder on a read-only file system at the start",
        "ends, and is started again every 2 s",
        "polls, and takes over when it can be written",
        "journal/test_journal_paths.py::test_a_folder_that_cannot_be_written_yet_is_waited_for",
    ),
    Found(
        "converter that sends a text 20 ms after connecting, serial frames over TCP",
        "23 of 25",
        "23 of 25",
        "field/test_odd_noise.py::test_noise_beside_a_frame_costs_nothing",
    ),
    Found(
        "… that sends it three times while it runs, over TCP and Modbus TCP",
        "24 and 25 of 25",
        "23 and 23 of 25",
        "field/test_odd_noise.py::test_noise_beside_a_frame_costs_nothing",
        "field/test_odd_replies.py::test_a_text_in_the_stream_of_modbus_tcp_costs_nothing",
    ),
    Found(
        "… 20 ms after connecting to Modbus TCP",
        "26 connections, nothing read",
        "23 of 25, in 2 connections",
        "field/test_odd_replies.py::test_a_text_in_the_stream_of_modbus_tcp_costs_nothing",
    ),
    Found(
        "SunSpec chain that ends with one 0x0000",
        "“refused with exception 2”, nothing is read",
        "read",
        "catalogue/test_sunspec_chains.py::test_a_chain_ends_as_it_likes",
    ),
    Found(
        "… control: that ends by the book",
        "read",
        "read",
        "catalogue/test_sunspec_chains.py::test_a_chain_ends_as_it_likes",
    ),
    Found(
        "… whose next head is refused",
        "“refused with exception 2”, nothing is read",
        "read",
        "catalogue/test_sunspec_chains.py::test_a_chain_ends_as_it_likes",
    ),
    Found(
        "… whose next head is met with silence, over Modbus TCP and serial frames over TCP",
        "“connected but silent”, opened again and again; nothing is read",
        "read",
        "catalogue/test_sunspec_chains.py::test_a_chain_that_ends_in_silence_is_read_over_a_connection",
    ),
    Found(
        "SunSpec models that count their own head, say no length, or one that leads out of the map",
        "“the device has 0 of the SunSpec models”, or the next model read as inputs",
        "read as far as the chain can be told",
        "catalogue/test_sunspec_lengths.py::test_models_that_count_their_own_head",
        "catalogue/test_sunspec_lengths.py::test_a_length_that_is_none_or_leads_out_of_the_map",
    ),
    Found(
        "converter that ends connections idle for 3 or 5 s",
        "13 of 12",
        "13 and 13 of 12, never “lost”",
        "field/test_odd_connections.py::test_a_server_that_ends_each_connection_gives_every_value",
    ),
    Found(
        "device that is busy (exceptions 5 and 6)",
        "absent with reason, never 0",
        "the same, 12 readings",
        "soak/test_faults_daemon.py::test_every_fault_of_a_line_and_a_network_costs_its_values_and_nothing_else",
    ),
    Found(
        "YAML anchors, merges, tags, tabs, duplicate keys",
        "work, or refused with the line",
        "the same",
        "config/test_outside.py::test_merges_and_aliases_have_their_lines",
        "config/test_outside.py::test_strange_yaml_is_a_problem_with_file_and_line",
    ),
    Found(
        '`host: "[::1]"`',
        "accepted, then “cannot be opened”",
        "refused with what to write",
        "config/test_outside.py::test_a_host_is_a_name_or_an_address_alone",
    ),
    Found(
        "broker that dictates a keep-alive of 5 s",
        "one connection in 60 s",
        "the same",
        "uplink/test_uplink_limits.py::test_the_broker_dictates_the_keep_alive",
    ),
    Found(
        "… of 65535 s, and the link freezes",
        "noticed after 48 s",
        "the same, by the missing acknowledgement",
        "uplink/test_uplink_mosquitto.py::test_a_half_open_line_is_noticed_and_left",
    ),
    Found(
        "two buses on one port, device or host",
        "accepted; one bus lost for ever",
        "refused by `check`, told by a daemon",
        "config/test_outside.py::test_two_buses_on_one_port_are_one_line_however_it_is_called",
        "daemon/test_outside_daemon.py::test_two_buses_on_one_line_run_and_are_told",
    ),
    Found(
        "energy register that shows 0 once",
        "0.0 kWh delivered as good",
        "marked suspect, with an event",
        "field/test_counter_memory.py::test_what_a_register_says_is_believed_or_not",
    ),
    Found(
        "… that jumps back by 480 kWh, or wraps at 32 bits",
        "both delivered as good",
        "the jump is suspect, with an event; the wrap is delivered",
        "field/test_counter_memory.py::test_what_a_register_says_is_believed_or_not",
    ),
    Found(
        "power as sign and amount (0x8064 for −100 W)",
        "“the table fits”, at −32.668 kW",
        "refused by weighing P against U·I; a table says `sign=bit15`",
        "commissioning/test_physics.py::test_power_is_weighed_against_voltage_and_current",
    ),
    Found(
        "meter that takes fewer registers than its paper says (50, 50 and 30)",
        "8 or 9 of 9",
        "8 of 9",
        "field/test_silent_read.py::test_reads_over_a_converters_buffer_are_made_shorter",
    ),
    Found(
        "meter that is silent about one register where others refuse",
        "0 of 18, “check A and B”",
        "18 of 18, the register named",
        "field/test_silent_read.py::test_what_is_never_answered_is_absent_and_the_rest_comes_at_each_poll",
    ),
    Found(
        "… about every read that is too long for it",
        "not tried",
        "reads made shorter, nothing left out",
        "field/test_silent_read.py::test_reads_over_a_converters_buffer_are_made_shorter",
    ),
    Found(
        "a serial meter that answers only its maker's blocks, when one reply of a hundred is lost",
        "0 to 20 of 100 polls: each loss cost all that came after it",
        "as many as of any other meter: it is asked twice, with silence between",
        "field/test_fixed_blocks.py::test_a_reply_that_is_lost_costs_it_little_more_than_any_other_meter",
        "field/test_fixed_blocks.py::test_who_becomes_one_reply_behind_gives_no_wrong_value",
    ),
    Found(
        "one of twenty replies damaged, polls of four reads",
        "80 of 100 polls whole",
        "96: asked once more in the same poll, while the line has time",
        "field/test_damaged_replies.py::test_noise_costs_few_polls_of_four_reads",
    ),
    Found(
        "a Modbus TCP gateway that needs 0.1 to 0.4 s between any two requests",
        "0 to 74 of 100 polls of its meters; a time-out of 15 s learnt for one that answers",
        "all, once it is known: `silence` is learnt for each meter",
        "field/test_left_out.py::test_one_that_needs_silence_is_none_that_sleeps",
    ),
    Found(
        "a meter that sleeps: the first request after a pause of 1 to 8 s is not answered",
        "0 of 180 polls, at any interval that is longer",
        "all, once it is known: asked twice at once; said, kept, and a key",
        "field/test_left_out.py::test_a_meter_that_sleeps_is_read",
        "field/test_left_out.py::test_several_that_sleep_are_read",
    ),
    Found(
        "… that needs up to a second to wake; … behind a converter with longer time-outs than it is awake",
        "0 to 34 of 100 polls",
        "all: asked a third time, 1.5 s after the first; at once, by a check read",
        "field/test_left_out.py::test_one_that_needs_time_to_wake_gets_it",
    ),
    Found(
        "a serial meter that answers only every second request",
        "0 of 180 polls, and all its registers left out",
        "all, once it is known; said, with what to do",
        "field/test_left_out.py::test_a_meter_that_answers_every_second_request_is_read",
        "field/test_left_out.py::test_without_that_neither_is_read",
    ),
    Found(
        "the first request after a pause is refused: exception 2 to 6 of the meter, 10 or 11 of its gateway",
        "0 to 13 of 180 polls; 2, 3 and 4: registers that exist left out",
        "all, at the first poll (10, 11: once it is known)",
        "field/test_left_out.py::test_who_refuses_the_first_request_after_a_pause_is_read_whole",
    ),
    Found(
        "a serial meter that answers in the name of another unit",
        "never believed, and called another master, a second meter at its address, or a damaged line",
        "never believed, and called that (`submeter doctor`)",
        "commissioning/test_doctor_line.py::test_a_meter_that_answers_in_the_name_of_another_is_called_that",
    ),
    Found(
        "a meter whose answers take 1.5 s, looked at by `submeter doctor`",
        "the line is sound: each answer was taken for that to the next question",
        "slow answers, with the time-out to write",
        "commissioning/test_doctor_line.py::test_a_meter_whose_answers_all_come_late_is_not_called_sound",
    ),
)

ATTACKED = (
    Found(
        "power of ten too far from its value for one read, and it changes in between",
        "wrong by a power of ten",
        "absent for that poll",
        "field/test_moments.py::test_no_value_is_of_two_moments",
    ),
    Found(
        "… sign, higher part of an energy, ratio of transformers, in another read",
        "wrong by the sign, by a carry, by the ratio",
        "absent for that poll",
        "field/test_moments.py::test_no_value_is_of_two_moments",
    ),
    Found(
        "… of a value that gives another one its sign",
        "absent for ever",
        "given at each poll",
        "field/test_moments.py::test_a_number_that_moves_and_is_the_key_of_another_is_given_at_each_poll",
    ),
    Found(
        "meter whose byte counts count registers, on a line or Modbus TCP",
        "nothing read, “look whether its table fits”",
        "read after two check reads",
        "field/test_odd_counts.py::test_it_is_learnt_outlives_a_restart_and_ends_with_a_mended_meter",
    ),
    Found(
        "Modbus TCP gateway whose exceptions alone have another number",
        "each costs its time-out, reason `timeout`",
        "understood at once, reason `exception_2`",
        "field/test_odd_gateways.py::test_an_exception_alone_may_have_another_number",
    ),
    Found(
        "Modbus TCP host whose answers differ from the standard in two fields at once",
        "search: “two meters share an address”; not read whatever the configuration says",
        "what is seen and the keys by which it is read",
        "commissioning/test_scan_host.py"
        "::test_answers_odd_in_several_fields_are_said_with_the_keys_by_which_they_are_read",
        "field/test_odd_replies.py"
        "::test_odd_fields_that_were_told_are_read_and_another_one_beside_them_is_not",
    ),
    Found(
        "Modbus TCP dongle that hears nothing in the first seconds of a connection, or ends it when it is "
        "asked",
        "read; the search finds nobody",
        "read and found, and what it needs is said",
        "commissioning/test_scan_host.py::test_a_device_that_needs_rest_after_connecting_is_found",
    ),
    Found(
        "two lines of one host whose name takes a while to look up",
        "one is lost for the moment, with a traceback",
        "both are reached",
        "field/test_connecting.py::test_two_lines_of_one_host_share_a_look_up_and_both_are_reached",
    ),
    Found(
        "meter that answers everything with exception 4 or 8",
        "“refuses every question”, no line in the log; search: no table fits",
        "told to be switched off and on, then mended, by page, log and every command",
        "field/test_worker.py::test_a_meter_that_only_complains_of_itself_is_in_the_log_once",
        "commissioning/test_scan_host.py"
        "::test_a_meter_that_only_complains_of_itself_is_told_so_and_no_table_is_blamed",
    ),
    Found(
        "meter or converter that gives 0, 1, 2301 or 0xFFFF for whatever it is asked",
        "`drivers try` proposes another table, “0 checks speak for it”; a search names one of 34 tables",
        "not known; that every value is zero is said",
        "commissioning/test_sisters.py::test_the_same_everywhere_speaks_for_no_table",
        "commissioning/test_scan_identify.py::test_one_word_everywhere_is_no_meter",
    ),
    Found(
        "meter that is busy for every fourth question of a search (exception 6)",
        "its registers counted as missing",
        "asked once more a moment later, and named",
        "commissioning/test_scan_host.py::test_a_meter_that_is_busy_for_a_moment_is_asked_once_more",
    ),
    Found(
        "register that goes back and forth by its last digit (1000, 999, 1000, 999, …), by a zero at every "
        "other poll, or by a carry between two registers",
        "each fall suspect; an event, a line in the log and a notice that comes and goes at every other poll",
        "each fall suspect; one event, one line and one notice that says what to do; a register that begins "
        "anew meanwhile is told",
        "field/test_counter_memory.py::test_a_register_that_goes_back_and_forth_is_one_trouble",
        "field/test_counter_memory.py::test_a_register_that_begins_anew_is_told_whatever_it_did_before",
    ),
    Found(
        "high word of a counter torn, by what a load of less than a megawatt could draw",
        "believed",
        "suspect",
        "field/test_counter_memory.py::test_a_torn_high_word_is_known_by_its_size_where_a_load_could_draw_as_much",
    ),
    Found(
        "meter deaf for 3 s after it was asked for one of two registers that it does not have",
        "looked into anew for ever, 1 poll of 10 brought a value",
        "within 10 minutes 6 of 8 values at each poll, both registers named",
        "field/test_deaf.py::test_the_missing_registers_are_found_out_and_nothing_else_is_left_out",
    ),
    Found(
        "… for 2 s, three such registers in its only read",
        "every register left out",
        "the three left out",
        "field/test_deaf.py::test_the_missing_registers_are_found_out_and_nothing_else_is_left_out",
    ),
    Found(
        "one reply lost of a meter polled each half second, Modbus TCP with a time-out of 200 ms",
        "no reading for 48 s",
        "for at most 5 s, with the time-out as shipped, too; for 13 s where another was lost a minute before",
        "field/test_lost_reply.py::test_a_reply_lost_now_and_then_is_asked_for_again_within_seconds",
    ),
    Found(
        "meter that refuses all registers for a minute while it starts (exception 2)",
        "every register left out for half a day",
        "all back within two minutes",
        "field/test_deaf.py::test_what_a_meter_refuses_while_it_starts_is_asked_again_soon",
    ),
    Found(
        "line that loses six of ten replies for an hour",
        "registers that were answered before left out until the next day",
        "none left out",
        "field/test_polled_meter.py::test_where_much_is_lost_no_register_that_was_ever_answered_is_left_out",
    ),
    Found(
        "second copy of each answer 8 ms behind it, serial frames",
        "1 of 12 reads",
        "11 or 12 of 12",
        "field/test_odd_noise.py::test_what_comes_once_more_while_the_next_answer_is_waited_for_loses_none",
    ),
    Found(
        "request that comes back 3 or 50 ms behind the answer",
        "1 of 12 reads",
        "12 of 12",
        "field/test_odd_noise.py::test_what_comes_once_more_while_the_next_answer_is_waited_for_loses_none",
    ),
    Found(
        "copies of two answers in five, up to 60 ms late, of registers that stand still",
        "10 of 2 400 wrong",
        "0 of 2 400",
        "field/test_two_copies.py::test_what_has_answered_twice_may_give_a_copy_of_an_older_answer",
    ),
    Found(
        "one second copy of an answer that comes 0.1 to 1.5 s late",
        "the meters beside it lose up to 40 % of the polls of twenty seconds",
        "they lose none",
        "field/test_late_copies.py::test_the_meters_beside_it_keep_their_polls",
    ),
    Found(
        "copies of two answers in a hundred, 0.05 to 1.5 s late, also of older answers",
        "3 of 1 474 wrong",
        "0 of 4 349",
        "field/test_late_copies.py::test_copies_now_and_then_give_no_wrong_value",
    ),
    Found(
        "`host: 0.0.0.0`, 255.255.255.255, a multicast address, `fe80::1` without its interface",
        "accepted, then “connection refused” or “invalid argument”",
        "told by `check` with what to write, refused by a reload; a start goes on",
        "config/test_outside.py::test_a_host_that_no_connection_can_be_opened_to_is_told",
        "daemon/test_outside_daemon.py::test_it_starts_with_addresses_that_lead_nowhere_and_tells_them",
    ),
    Found(
        "one converter under its name and under its IP address, in two buses",
        "accepted; one bus lost for ever",
        "told by `check --here`",
        "check/test_check.py::test_here_knows_one_host_by_two_names",
    ),
    Found(
        "text of 100 kB in a value, a key, an anchor or a line of a table",
        "repeated whole by the problem",
        "named by its first 80 characters",
        "config/test_outside.py::test_no_problem_repeats_a_text_without_end",
        "config/test_outside.py::test_no_problem_of_a_table_repeats_a_text_without_end",
    ),
    Found(
        "Modbus TCP gateway that drops what comes while it waits 5 s for a dead meter, two meters beside it",
        "23 and 1 of 24",
        "23 and 24 of 24",
        "field/test_gateway_queue.py::test_one_that_drops_what_comes_meanwhile_costs_no_living_one_its_place",
    ),
    Found(
        "Modbus TCP gateway that waits 5 s for a dead meter, says nothing of it and drops what comes "
        "meanwhile; 8 s, and hangs up (20 minutes, three beside it)",
        "15, 30 and 28 %; 42, 45 and 84 %",
        "97 %; 96 %",
        "field/test_gateway_queue.py::"
        "test_one_that_serves_nobody_meanwhile_is_found_out_and_costs_what_lost_meters_share",
    ),
    Found(
        "Modbus TCP device that takes no new connection for 2 s after it has hung up, and begins that anew "
        "with each try",
        "3 of 30; 75 connections a second",
        "12 of 14; 3 in some seconds",
        "field/test_dead_meters.py::test_one_that_is_gone_at_once_is_not_asked_without_a_pause",
    ),
    Found(
        "SunSpec inverter over Modbus TCP with its list at 50000, silent wherever it has nothing",
        "0 of 30",
        "20 of 30, from the 30th second on",
        "catalogue/test_sunspec_chains.py::test_a_device_that_is_silent_wherever_it_has_nothing_is_read_over_its_line",
    ),
    Found(
        "meter that says busy (exception 6) for 200 ms after its own answer, three reads a poll",
        "0 of 30 whole",
        "20 of 20 whole, pause learnt",
        "field/test_silent_read.py::test_a_meter_that_is_busy_after_its_answer_gets_a_pause",
    ),
    Found(
        "meter alone on its connection, deaf for 3 s after a register that it does not have",
        "1 of 90",
        "all from the second minute on",
        "field/test_deaf.py::test_one_that_is_alone_and_deaf_after_its_shortest_read_is_asked_for_others_first",
    ),
    Found(
        "Modbus TCP device that sends each request back before it answers",
        "0 of 30",
        "30 of 30",
        "field/test_odd_replies.py::test_a_question_that_comes_back_before_its_answer_does_no_harm",
    ),
    Found(
        "Modbus TCP gateway that says exception 4 (or any other) for a dead meter after 4 s, two beside it",
        "18 and 16 of 24",
        "24 and 24 of 24",
        "field/test_slow_refusals.py::"
        "test_one_that_refuses_all_after_long_costs_the_others_what_a_lost_one_costs",
    ),
    Found(
        "Modbus TCP gateway that hangs up on who asks while it waits 5 s for a dead meter, two beside it",
        "2 and 15 of 24",
        "22 and 24 of 24",
        "field/test_gateway_queue.py::test_one_that_hangs_up_on_what_comes_meanwhile_costs_no_living_one_its_place",
    ),
    Found(
        "Modbus TCP gateway that refuses (exception 11) or hangs up at its own time-out, and gives the "
        "answer to the request behind it, under that one's number",
        "3 790 of 4 298 wrong; 3 538 of 4 192, all whole",
        "none wrong; it is asked for a unit that nobody has, and gives what it owes",
        "field/test_given_up.py::test_an_answer_that_a_gateway_has_given_up_is_no_other_registers_value",
    ),
    Found(
        "converter whose meter answers 50 ms behind its refusal (exceptions 5, 6, 11), serial frames",
        "45 of 245, 27 of 302, 8 of 182 wrong",
        "none wrong",
        "field/test_given_up.py::"
        "test_what_comes_behind_a_refusal_on_a_serial_line_is_no_other_registers_value",
    ),
    Found(
        "Modbus TCP gateway that gives each reply to all its clients, one of them beside us",
        "a read fails with each reply to the other; a good register is left out",
        "all read; a refusal of the other's is none of ours",
        "field/test_shared_replies.py::test_replies_to_another_client_cost_no_reading",
        "field/test_shared_replies.py::test_a_refusal_of_another_client_is_not_ours",
    ),
    Found(
        "converter of serial frames that gives each reply to all its clients, another master at our meters",
        "9 of 165 wrong; nobody is told",
        "none wrong once it is told, of which the first three frames of another unit tell",
        "field/test_odd_noise.py::test_what_another_master_reads_of_our_meters_is_no_value_of_ours",
        "field/test_odd_noise.py::test_another_master_that_reads_our_own_meters_is_named",
    ),
    Found(
        "gateway that counts its replies by itself, when it comes to a number that we have used",
        "1 read in 1 000 unanswered",
        "all read",
        "field/test_shared_replies.py::test_a_counter_of_the_gateway_may_meet_our_numbers",
    ),
    Found(
        "broker that takes batches and refuses a Last Will, by a code or by hanging up",
        "no batch, ever",
        "connected to without one, and what to allow is said; tried again after an hour",
        "mqtt/test_mqtt_will.py::test_a_broker_that_hangs_up_on_a_last_will_is_tried_without_one",
        "uplink/test_uplink_limits.py::test_a_broker_without_last_wills_gets_every_batch",
    ),
    Found(
        "malformed CONNACK; HTTP, SSH or an alert of TLS in the place of one",
        "“closed the connection instead of answering”, or silence after 20 s",
        "said at once, with what to do; a broker that is odd in MQTT 5 alone is spoken to in 3.1.1",
        "mqtt/test_mqtt_odd_connack.py::test_a_malformed_answer_is_said_to_be_one",
        "mqtt/test_mqtt_odd_connack.py::test_who_speaks_something_else_is_said_at_once",
    ),
    Found(
        "broker that is replaced by one of MQTT 3.1.1, with `protocol: auto`",
        "refused for ever, told to write “3.1.1, or auto”",
        "spoken to in 3.1.1 at once; after two connections where it just hangs up",
        "mqtt/test_mqtt_versions.py::test_a_broker_that_does_not_take_mqtt_5_is_spoken_to_in_3_1_1_at_once",
        "mqtt/test_mqtt_versions.py::test_who_hangs_up_twice_may_have_been_replaced_by_one_of_3_1_1_and_once_means_nothing",
    ),
    Found(
        "broker whose name has two, or five, dead addresses in front of the living one",
        "connected after 12 s; never, told to check that the port speaks MQTT",
        "connected after 2 s; after 4 s",
        "mqtt/test_mqtt_addresses.py::test_dead_addresses_in_front_of_a_living_one_do_not_keep_a_broker_away",
    ),
    Found(
        "server that does not switch to WebSockets (404, 403, 502, no key); a port that resets; an address "
        "that is silent",
        "“cannot be reached”, no next step",
        "told apart, each with what to do",
        "mqtt/test_mqtt_unreachable.py::test_a_server_that_does_not_switch_to_websockets_is_told_with_path_and_proxy",
        "mqtt/test_mqtt_unreachable.py::test_every_error_of_the_system_has_a_next_action_and_a_sentence_on_the_page",
    ),
    Found(
        "journal deleted beside its intact WAL, or emptied",
        "16 of 54 readings gone in silence",
        "salvaged or told as damage",
        "journal/test_journal_paths.py::test_a_wal_whose_file_is_gone_is_damage_and_comes_back",
    ),
    Found(
        "journal unlinked or renamed under the daemon",
        "84 readings gone after a kill",
        "written again under its name",
        "journal/test_journal_moved.py::test_what_lost_its_name_is_written_again",
    ),
    Found(
        "another program's file, or a FIFO, put in the place of the open journal",
        "all comes back, and 13 batches are told as lost",
        "all comes back, none is told as lost",
        "journal/test_journal_moved.py::test_what_lost_its_name_is_written_again",
    ),
    Found(
        "`true` where a number is meant (`per_unit`, `start`, `area`, `backlog_rate`)",
        "“good”, taken for 1",
        "refused with file and line",
        "config/test_outside.py::test_a_switch_is_no_number",
    ),
    Found(
        "folder, dangling link or FIFO in the journal's place",
        "nothing taken, or the start hangs",
        "moved aside",
        "journal/test_journal_paths.py::test_what_is_no_file_is_moved_aside",
    ),
    Found(
        "journal of a newer version",
        "no polling, a restart every 2 s",
        "polls, keeps in memory, says so",
        "daemon/test_journal_daemon.py::test_a_journal_that_cannot_be_used_stops_no_polling",
    ),
    Found(
        "older copy put back",
        "told as a conflict only",
        "no number is given out again, what is missing is told",
        "journal/test_journal_paths.py::test_an_older_copy_gives_no_number_out_again_and_says_what_is_missing",
    ),
    Found(
        "terminal escapes in a gateway's message",
        "reach terminal and log, 3 of 3",
        "shown as code points",
        "common/test_text.py::test_an_error_cannot_act_on_its_reader",
    ),
    Found(
        "one gateway with 60 000 gaps",
        "others wait 17 s for their receipts",
        "work a look is linear and bounded",
        "receiver/test_receiver_bounds.py::test_a_look_at_many_gaps_is_linear",
    ),
    Found(
        "small message that becomes megabytes of rows",
        "6 800-fold",
        "bounded by the contract, refused",
        "receiver/test_receiver_bounds.py::test_a_batch_beyond_the_bounds_is_refused",
    ),
    Found(
        "page asked as `Host: evil.example`",
        "answered in full",
        "421",
        "status/test_status_server.py::test_only_names_of_ours_are_answered",
    ),
    Found(
        "slow requests from 40 addresses",
        "page and `/healthz` gone",
        "the longest unfinished one goes, `/healthz` has room",
        "status/test_status_server.py::test_a_full_page_drops_who_is_unfinished_longest_and_keeps_who_is_served",
    ),
    Found(
        "budget of 400 digits, `per_unit: .inf`, pipe or device as the file",
        "tracebacks, hangs, or “good”",
        "a problem with file and line",
        "config/test_outside.py::test_no_number_is_without_end",
        "config/test_outside.py::test_what_is_no_file_is_refused_at_once",
    ),
    Found(
        "device, pipe or file as the folder of tables, backups or keys; device as one's own "
        "`/etc/submeter/rules/tr.yaml`",
        "“good”: the shipped tables and rules were taken without a word",
        "refused by `check`",
        "check/test_check.py::test_what_is_no_folder_is_refused",
        "check/test_check.py::test_what_is_no_file_is_refused_as_a_table_temperatures_and_rules",
    ),
    Found(
        "a megabyte of meters or aliases",
        "over 60 s",
        "judged soon, bounded",
        "config/test_large_files.py::test_a_megabyte_is_judged_soon",
    ),
    Found(
        "files of the machine in an error",
        "their paths on the page and in the API",
        "the page names the key, the log the path",
        "daemon/test_outside_daemon.py::test_the_page_names_the_key_and_the_log_the_path",
    ),
    Found(
        "one wrong hour of a hardware clock",
        "no trust until that date",
        "the kernel's word outranks it",
        "host/test_clock.py::test_one_wrong_hour_of_a_hardware_clock_is_told_and_forgiven_by_the_kernel",
    ),
    Found(
        "systemd's exposure of the unit; a password file that others may read",
        "5.9; not said",
        "at most 2.5; told by `check` and daemon",
        "daemon/test_sandbox.py::test_the_exposure_that_systemd_computes_is_low",
        "daemon/test_daemon.py::test_a_secret_that_everybody_may_read_is_told_by_check_and_by_the_daemon",
    ),
    Found(
        "thinning that spares batches here and there",
        "backlog grows for ever though all is delivered",
        "what is gone is settled",
        "journal/test_journal_thinning.py::test_after_an_outage_everything_delivered_counts_as_delivered",
    ),
    Found(
        "batch of a later epoch that told what was thinned is thinned too",
        "5 000 batches neither held nor told",
        "told again",
        "journal/test_journal_thinning.py::test_a_range_told_in_a_later_epoch_is_told_again_when_its_teller_goes",
    ),
    Found(
        "readings given up for room",
        "said nowhere",
        "on page, API, CLI and log",
        "journal/test_journal_thinning.py::test_thinning_is_counted_dated_and_said_once",
    ),
    Found(
        "one of two platforms stops answering",
        "the other waits as well",
        "it waits for nobody; the silent one is named",
        "uplink/test_uplink_consumers.py::test_a_silent_consumer_stops_nobody_and_is_named_and_gets_what_it_lacks_later",
    ),
    Found(
        "broker that has lost the subscription while the connection goes on",
        "no receipt, replay or command until the next connection",
        "subscribed again, then connected again",
        "uplink/test_uplink_unheard.py::test_a_lost_subscription_is_made_again_on_the_same_connection_and_said_once",
        "receiver/test_receiver_silence.py::test_what_is_lost_is_subscribed_to_again_and_said_once",
    ),
    Found(
        "budget of 1 MB",
        "one overflow takes 94 % of the journal",
        "lots by bytes",
        "journal/test_journal_thinning.py::test_a_lot_is_no_more_than_must_be",
    ),
    Found(
        "copied card: two gateways with one identity",
        "both send again what one had stored",
        "the owner of the stored content does not",
        "uplink/test_uplink_consumers.py::test_a_conflict_whose_stored_content_is_ours_is_delivered_and_sent_no_second_time",
    ),
    Found(
        "uplink whose url is changed and changed back",
        "8 of 79 batches sent",
        "an account is a name and an address",
        "uplink/test_uplink_consumers.py::test_what_one_address_took_is_not_counted_for_another_and_comes_back_with_it",
    ),
    Found(
        "proxy that ends silent connections after 10 s; an address to listen on with a zone id",
        "lost and told four times a minute; refused without the reason",
        "a key `keepalive`; refused with the reason",
        "uplink/test_uplink_consumers.py::test_the_keepalive_is_what_connect_says",
        "uplink/test_uplink_consumers.py::test_a_zone_id_to_listen_on_is_refused_with_that_reason",
    ),
    Found(
        "pulses: journal lost or replaced",
        "register falls to `start` in silence",
        "second copy; told until it was set",
        "pulses/test_pulse_daemon.py::test_a_journal_that_has_lost_the_registers_takes_none_along",
    ),
    Found(
        "pulses: disk full, all inputs taken out and put back",
        "190 → 65",
        "no fall",
        "pulses/test_pulse_daemon.py::test_all_inputs_taken_out_and_put_back_while_the_journal_is_full",
    ),
    Found(
        "pulses: 50 reloads while edges are under way (modelled)",
        "8 of 378 lost",
        "0",
        "pulses/test_counting.py::test_an_edge_that_is_under_way_during_a_reload_is_counted",
    ),
    Found(
        "pulses: 50 reloads inside chatter",
        "8 too many",
        "0",
        "pulses/test_counting.py::test_a_reload_inside_chatter_counts_once_because_the_filter_goes_on",
    ),
    Found(
        "pulses: line that rises slowly after its resistor is set",
        "one pulse a start",
        "0",
        "pulses/test_counting.py::test_a_line_that_rises_after_its_resistor_was_set_gives_no_pulse",
    ),
    Found(
        "pulses: infinite `start` or `per_unit`",
        "“good”, then all inputs fail",
        "refused",
        "config/test_outside.py::test_no_number_is_without_end",
    ),
    Found(
        "pulses: `set` while the journal is full",
        "“done”, and lost by a kill",
        "not on disk yet, and said so",
        "pulses/test_pulse_daemon.py::test_a_set_while_the_journal_is_full_says_so_and_survives",
    ),
    Found(
        "pulses: contact faster than its limits",
        "register stands still in silence",
        "readings suspect, told once",
        "pulses/test_counting.py::test_a_contact_faster_than_its_limits_is_told_once_and_marks_the_readings",
    ),
    Found(
        "pulses: a kill while the disk is full; edges that the kernel's queue drops in pairs",
        "all since it was full, not said; not said",
        "what the second copy lacks, told; `docs/pulses.md` says what cannot be seen",
        "pulses/test_pulse_daemon.py::test_a_kill_while_the_journal_is_full_costs_what_the_second_copy_lacks_and_is_told",
    ),
    Found(
        "pulses: a quantity or `per_unit` that is changed; a register carried rounded",
        "told as a changed configuration only; drifts by 0.08 pulses in 5 000 restarts",
        "`pulse_register_set`; exact",
        "pulses/test_counting.py::test_what_the_configuration_moves_is_told",
        "pulses/test_counting.py::test_the_register_stays_exact_over_any_number_of_restarts",
    ),
)


def _table(rows: tuple[Found, ...]) -> str:
    lines = ["| fault | before | after | held by |", "|---|---|---|---|"]
    for row in rows:
        held_by = ", ".join(f"`{test}`" for test in row.tests)
        lines.append(f"| {row.fault} | {row.before} | {row.after} | {held_by} |")
    return "\n".join(lines)


def section() -> str:
    """The chapter of the page."""
    return f"""## What other people's reports found

Faults that others have met with other programs, from public issue trackers and manuals,
were rebuilt as devices and brokers and tried
on this gateway. *Before* and *after* are readings that were whole, of as many as there were polls,
or what was said; the tests stand below `tests/`. Twelve of
twelve and ten of twelve are the same: the first polls and the last one may fall outside the count, and the
counts are of one run of them all on a machine with six to ten times the work it can do.

{_table(REPORTED)}

Attacks of our own on values, lines, files, messages, the page, clocks and contacts broke these:

{_table(ATTACKED)}
"""
