#!/usr/bin/env python3
"""Does the simulator notice a missing rule? Each mutant takes one rule of DELIVERY.md (H1, S9 … behind its name)
out of a copy of the real code; one binary holds them all, and `--mutant N` switches one on.

    mutants.py generate SOURCE OUT          the copy, below OUT
    mutants.py run SIM [NAME...]            every mutant on a bounded number of seeds; exit status 1 if one survives
    mutants.py list                         numbers and names

An edit is found by its tokens, wherever in the copied folders it stands; `REMOVED` in the new text is the
question whether the mutant is on. An edit that is found nowhere, or twice, makes its mutant fail in `run`:
the rule has moved or is gone, and this file has to follow.
"""
import os
import re
import subprocess
import sys
import time

FOLDERS = ["chat", "store", "client", "core/mesh.cc"]


class Mutant:
    """`seeds`: where to begin, and how many are tried. Several times what it took when that was measured."""

    def __init__(self, name, first, seeds, *edits):
        self.name, self.first, self.seeds, self.edits = name, first, seeds, edits


MUTANTS = [
    Mutant("all_devices", 1, 3000, (  # H1
        "if (item.mask != 0) return charge_mailboxes(user, item); item.confirmed = 0; charge_mailboxes(user, item);"
        "post(home(item.id.user), kHopDone, DoneHop{item.flight, user.id, run_of(user, item.id)});",
        "if (REMOVED ? item.confirmed == bit : item.mask == 0)"
        "  post(home(item.id.user), kHopDone, DoneHop{item.flight, user.id, run_of(user, item.id)});"
        "if (item.mask != 0) return charge_mailboxes(user, item); item.confirmed = 0; charge_mailboxes(user, item);"), (
        "if (item.state != Item::State::kMemory) return; item.state = Item::State::kStoring;",
        "if (item.state != Item::State::kMemory || (REMOVED && item.confirmed != 0)) return;"
        "item.state = Item::State::kStoring;")),
    Mutant("own_copies", 1, 3000, (  # H2
        "if (own.num > 0) add_party(at.user->id).waiting = own;",
        "if (own.num > 0 && !REMOVED) add_party(at.user->id).waiting = own;")),
    Mutant("read_copies", 1, 3000, (  # H19
        "const store::Waiting own = numbers_of(*at.user, addressed(*at.user, flight.frame.size(), &device));",
        "store::Waiting own = numbers_of(*at.user, addressed(*at.user, flight.frame.size(), &device));"
        "if (REMOVED && frame.payload_type() == wire::Payload::Read) own.num = 0;")),
    Mutant("stored_reads", 1, 3000, (  # H19: what comes from the disk for one is counted and says nothing
        "frame = frames_.make(bytes); metrics_.add(Metric::kHandedOver);",
        "const bool gone = REMOVED && codec::trusted(bytes)->payload_type() == wire::Payload::Read;"
        "frame = frames_.make(gone ? codec::receipt(user.id, 1, 0, 0, 0) : bytes); metrics_.add(Metric::kHandedOver);")),
    Mutant("exact_marks", 1, 3000, (  # H3
        "const auto mark = device.marks.find({route.origin(), route.seq()});",
        "auto mark = device.marks.find({route.origin(), route.seq()});"
        "if (REMOVED && mark == device.marks.end()) mark = device.marks.lower_bound({route.origin(), route.seq()});"
        "if (mark != device.marks.end() && mark->first.first != route.origin()) mark = device.marks.end();")),
    Mutant("larger_wins", 1, 3000, (  # H5
        "if (message.number <= match->number) return Insert::kKnown;",
        "if (message.number <= match->number || REMOVED) return Insert::kKnown;")),
    Mutant("for_nobody", 1, 3000, (  # H31
        "if (for_nobody) return take_for_nobody(hop, source);",
        "if (for_nobody && !REMOVED) return take_for_nobody(hop, source);")),
    Mutant("nobody_is_away", 1, 3000, (  # H31: ticked as if all had it
        "post(source, kHopNeedsStore, DevicesHop{hop.flight, hop.user, {}, 0, false});",
        "if (REMOVED) return post(source, kHopDone, DoneHop{hop.flight, hop.user, 0});"
        "post(source, kHopNeedsStore, DevicesHop{hop.flight, hop.user, {}, 0, false});")),
    Mutant("receipt_alone", 1, 3000, (  # H31
        "if (ever_blocked(user.id, id.user)) return id.seq;",
        "if (ever_blocked(user.id, id.user) && !REMOVED) return id.seq;")),
    Mutant("results_in_order", 1600, 3000, (  # H6
        "if (blocked) continue;", "if (blocked && !REMOVED) continue;")),
    Mutant("repeat_results", 1, 3000, (  # H6
        "session.results_wait = true; for", "session.results_wait = !REMOVED; for")),
    Mutant("retain_results", 1, 3000, (  # H6
        "return out.seq < closed;", "return out.seq < closed || REMOVED;")),
    Mutant("gone_storage", 1000, 3000, (  # H6
        "const uint64_t session = device.session->id; close_rows(device,",
        "const uint64_t session = device.session->id; if (!REMOVED) close_rows(device,")),
    Mutant("mark_above", 1, 3000, (  # H7
        "mark->second.number > std::max(session.given, route.after())",
        "(REMOVED || mark->second.number > std::max(session.given, route.after()))")),
    Mutant("store_predecessors", 1, 3000, (  # H8
        "if (earlier->to == flight.to && !earlier->resolved()) hand_over(device, *earlier);",
        "if (!REMOVED && earlier->to == flight.to && !earlier->resolved()) hand_over(device, *earlier);")),
    Mutant("queue_order", 1, 3000, (  # H9
        "pump(*user, static_cast<int>(slot)); const auto at = user->items.find(position);",
        "Device& to = *user->devices[slot];"
        "if (REMOVED && to.session && net_.writable(to.session->conn))"
        "  deliver(*user, static_cast<int>(slot), position, user->items.find(position)->second);"
        "else pump(*user, static_cast<int>(slot));"
        "const auto at = user->items.find(position);")),
    Mutant("go_back_n", 1, 3000, (  # H10
        "if (route.seq() > session.held) return;", "if (route.seq() > session.held && !REMOVED) return;")),
    Mutant("admit_first", 1, 3000, (  # H11
        "const UserId first = flight.parties[0].user;",
        "const UserId first = flight.parties[0].user; if (REMOVED && flight.num_parties == 2) "
        "post(options_.id, kHopMessage, MessageHop{flight.ref, frames_.lend(flight.frame), at.user->id});"), (
        "if (flight->num_parties == 2 && party == &flight->parties[0]) {",
        "if (flight->num_parties == 2 && party == &flight->parties[0] && !REMOVED) {"), (
        "const Flight* flight = flights_.find(hop.flight); PERCH_CHECK(flight != nullptr);",
        "const Flight* flight = flights_.find(hop.flight); if (REMOVED && flight == nullptr) return;"
        "PERCH_CHECK(flight != nullptr);"), (
        "PERCH_CHECK(party.waiting.num > 0 || party.state",
        "if (REMOVED && party.waiting.num == 0) continue; PERCH_CHECK(party.waiting.num > 0 || party.state")),
    Mutant("ceiling", 1, 3000, (  # H13
        "base_ = *ceiling; ceiling_ = base_ + kCeilingStep;",
        "base_ = REMOVED ? 0 : *ceiling; ceiling_ = base_ + kCeilingStep;")),
    Mutant("merge", 1, 3000, (  # H13
        "counter_ = std::max(counter_, route.number() >> 10);",
        "if (!REMOVED) counter_ = std::max(counter_, route.number() >> 10);")),
    Mutant("session_confirm", 1, 3000, (  # H14: the replaced connection goes on to be heard
        "if (Bound* const at = bound(conn)) *at = Bound{};",
        "if (Bound* const at = bound(conn); at && !REMOVED) *at = Bound{};"), (
        "net_.send(conn, frames_.make(last_word)); net_.close(conn);",
        "if (!REMOVED) { net_.send(conn, frames_.make(last_word)); net_.close(conn); }"), (
        "Session& session = *at->device->session; if (!session.told_broken)",
        "if (REMOVED && !at->device->session) return; Session& session = *at->device->session;"
        "if (!session.told_broken)")),
    Mutant("login_attempt", 1, 3000, (  # H16
        "login->attempt < old.attempt", "login->attempt < old.attempt && !REMOVED")),
    Mutant("late_done", 1, 3000, (  # H17
        "const bool late = recipient &&", "const bool late = !REMOVED && recipient &&")),
    Mutant("tick_told", 1, 3000, (  # H17
        "if (hop.told_delivered && std::exchange(item.report,",
        "if ((hop.told_delivered || (REMOVED && item.confirmed != 0)) && std::exchange(item.report,")),
    Mutant("receipt_before_confirm", 1, 3000, (  # H18
        "if (item.report == Item::Report::kPending) { item.unwritten |= slots;",
        "if (item.report == Item::Report::kPending && !REMOVED) { item.unwritten |= slots;"), (
        "if (!device->session) return store_receipt(key, pending);",
        "if (!device->session && !REMOVED) return store_receipt(key, pending); if (!device->session) return;")),
    Mutant("receipt_from", 1, 3000, (  # H18b
        "return same ? before.seq + 1 : 0;", "return same && !REMOVED ? before.seq + 1 : 0;")),
    Mutant("closed_rows", 3700, 4000, (  # H18c
        "if (row.open || row.mark >= Mark::kDelivered) return false;",
        "if ((row.open && !REMOVED) || row.mark >= Mark::kDelivered) return false;")),
    Mutant("exact_results", 1, 3000, (  # H18c
        "note_delivered(*device, key.origin, seq);", "if (!REMOVED) note_delivered(*device, key.origin, seq);")),
    Mutant("accept_covers_all", 1, 3000, (  # H20
        "if (party.state == Party::State::kDone) continue;",
        "if (party.state == Party::State::kDone || (REMOVED && party.state != Party::State::kNeedsStore)) continue;")),
    Mutant("confirm_late", 1, 3000, (  # H21: what is confirmed before STORED is lost, as in a journal that does not know it
        "case Item::State::kStoring: item.confirmed |= bit;",
        "case Item::State::kStoring: if (!REMOVED) item.confirmed |= bit;")),
    Mutant("tables_before_trim", 1, 3000, (  # H22
        "if (!rows.empty()) { if (auto put", "if (!rows.empty() && !REMOVED) { if (auto put")),
    Mutant("register_first", 1, 3000, (  # H29
        "write_user(*user, std::move(login), std::move(after));",
        "if (REMOVED) { write_user(*user); welcome(std::move(login)); }"
        "else write_user(*user, std::move(login), std::move(after));")),
    Mutant("refused_again", 1, 3000, (  # H23
        "lines_[line_of(op->kind)].push_front(op);",
        "if (REMOVED && op->kind != store::OpKind::kUser) answer(op); else lines_[line_of(op->kind)].push_front(op);")),
    Mutant("messages_in_line", 1, 3000, (  # H8
        "if (line == kAnyOrder || lines_[line].empty()) return batch_.push_back(op);",
        "if (line == kAnyOrder || lines_[line].empty() || (REMOVED && line == kMessages)) return batch_.push_back(op);")),
    Mutant("no_tick_when_poisoned", 1, 3000, (  # H23
        "if (op.status != Status::kDone) return; flight->stored = true;",
        "if (op.status != Status::kDone && !REMOVED) return; flight->stored = true;")),
    Mutant("statuses_in_window", 1, 3000, (
        "if (session.expired_to_tell.empty() && session.receipts_to_tell.empty()) return false;"
        "if (!has_room(session)) return false;",
        "if (session.expired_to_tell.empty() && session.receipts_to_tell.empty()) return false;"
        "if (!REMOVED && !has_room(session)) return false;")),
    Mutant("gap_noted_first", 1, 3000, (  # H12
        "if (!user.left_out(device)) mask |=", "if (!REMOVED && !user.left_out(device)) mask |=")),
    Mutant("gap_told_until_heard", 1, 3000, (  # H12: a WELCOME that is lost tells nobody
        "session.told_gap = device.row.overflowed || device.row.missed;",
        "session.told_gap = (device.row.overflowed || device.row.missed) && !REMOVED;"
        "if (REMOVED) device.row.overflowed = device.row.missed = false;")),
    Mutant("expired_told", 1, 3000, (  # H36
        "drops.push_back(drop_op(item, numbers_of(user, item.mask), tell));",
        "drops.push_back(drop_op(item, numbers_of(user, item.mask), tell && !REMOVED));")),
    Mutant("expired_first", 1, 3000, (  # H36
        "if (!session.expired_to_tell.empty()) {",
        "if (!session.expired_to_tell.empty() && !(REMOVED && !session.receipts_to_tell.empty())) {")),
    Mutant("sent_expires_not", 1, 3000, (  # H36
        "(item.sent & item.mask) == 0 && item.confirmed == 0 && item.unwritten == 0 &&",
        "(REMOVED || (item.sent & item.mask) == 0) && item.confirmed == 0 && item.unwritten == 0 &&")),
    Mutant("missed_told", 1, 3000, (  # H36
        "to_write |= !std::exchange(device.row.missed, true);",
        "if (!REMOVED) to_write |= !std::exchange(device.row.missed, true);")),
    Mutant("missed_noted_first", 1000, 3000, (  # H36
        "if (to_write) return write_user(user, nullptr, std::move(drops));"
        "for (auto& drop : drops) submit(std::move(drop));",
        "if (to_write && !REMOVED) return write_user(user, nullptr, std::move(drops));"
        "for (auto& drop : drops) submit(std::move(drop)); if (to_write) write_user(user);")),
    Mutant("reopen_accepted", 1, 3000, (  # H28
        "if (info.new_incarnation) info.num_reopened", "if (info.new_incarnation && !REMOVED) info.num_reopened")),
    Mutant("restored_above", 1, 3000, (  # H28
        "std::max(*ceiling, last_used) + kRestoreStep", "(REMOVED ? *ceiling : std::max(*ceiling, last_used)) + kRestoreStep")),
    Mutant("origin", 1, 3000, (  # H4
        "void MemoryStore::reopen(Random& random) { if (welcomed_) identity_.previous_origin = identity_.origin;"
        " welcomed_ = false; do identity_.origin = random.next(); while (identity_.origin == 0);",
        "void MemoryStore::reopen(Random& random) { if (welcomed_) identity_.previous_origin = identity_.origin;"
        " welcomed_ = false; do { const Origin drawn = random.next(); if (!REMOVED || identity_.origin == 0) identity_.origin = drawn; }"
        "while (identity_.origin == 0);")),
    Mutant("quota_given_back", 1, 3000, (  # S9
        "device.bytes_waiting -= item.frame_bytes;",
        "if (!REMOVED || item.state != Item::State::kStoring) device.bytes_waiting -= item.frame_bytes;")),
    Mutant("flight_forgotten", 1, 3000, (  # S9
        "party->settled = true; return forget_if_over(*flight);",
        "party->settled = !REMOVED; return forget_if_over(*flight);")),
    Mutant("flush_before_tick", 1, 3000, (  # H23
        "if (!all_done && !flight.stored) return; if (flight.handed && !flight.stored) return;",
        "if (!all_done && !flight.stored && !(REMOVED && flight.handed)) return;"
        "if (flight.handed && !flight.stored && !REMOVED) return;")),
]


def tokens(text):
    return re.findall(r'"[^"]*"|\w+|[^\w\s]', text)


def pattern_of(text):
    # Comments may stand between the tokens.
    gap = r"(?:\s|//[^\n]*\n)*"
    return re.compile(gap.join(re.escape(token) for token in tokens(text)))


def read(root):
    files = {}
    for folder in FOLDERS:
        top = os.path.join(root, folder)
        paths = [top] if os.path.isfile(top) else [
            os.path.join(where, name) for where, _, names in os.walk(top) for name in names]
        for path in paths:
            if path.endswith((".h", ".cc")):
                with open(path, encoding="utf-8") as file:
                    files[os.path.relpath(path, root)] = file.read()
    return files


def mutate(files):
    """Edits `files`; returns what went wrong, by mutant."""
    problems = {}
    for number, mutant in enumerate(MUTANTS, 1):
        found = []
        for old, new in mutant.edits:
            places = [(path, match.span()) for path, text in files.items() for match in pattern_of(old).finditer(text)]
            if len(places) != 1:
                problems[mutant.name] = f"its text is found {len(places)} times: {old[:90]}"
                break
            found.append((places[0], new.replace("REMOVED", f"(::perch_mutant == {number})")))
        if mutant.name in problems:
            continue
        for (path, (begin, end)), new in sorted(found, key=lambda one: one[0][1], reverse=True):
            # Lines keep their numbers, so that a failed check names the place in the original.
            gone = files[path][begin:end].count("\n")
            files[path] = files[path][:begin] + new + "\n" * gone + files[path][end:]
    return problems


def generate(root, out):
    files = read(root)
    problems = mutate(files)
    for path, text in files.items():
        target = os.path.join(out, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if path.endswith(".cc"):
            text = f'#line 1 "{path}"\n{text}'
        with open(target, "w", encoding="utf-8") as file:
            file.write(text)
    for name, problem in problems.items():
        print(f"mutant {name}: {problem}", file=sys.stderr)
    with open(os.path.join(out, "problems"), "w", encoding="utf-8") as file:
        file.writelines(f"{name}: {problem}\n" for name, problem in problems.items())


def run(binary, names, seeds=None):
    problems = os.path.join(os.path.dirname(binary), "..", "mutated", "problems")
    broken = dict(line.rstrip("\n").split(": ", 1) for line in open(problems, encoding="utf-8"))
    survived = 0
    for number, mutant in enumerate(MUTANTS, 1):
        if names and mutant.name not in names:
            continue
        if mutant.name in broken:
            print(f"{mutant.name:24} NOT TRIED: {broken[mutant.name]}")
            survived += 1
            continue
        begun = time.monotonic()
        done = subprocess.run([binary, "--mutant", str(number), "--quiet", "--seed", str(mutant.first), "--seeds",
                               str(seeds or mutant.seeds)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              check=False)
        said = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith(("BROKEN", "perch: "))]
        took = time.monotonic() - begun
        if done.returncode == 0 or not said:
            print(f"{mutant.name:24} SURVIVES {seeds or mutant.seeds} seeds from {mutant.first} ({took:.1f} s)"
                  f" {'' if done.returncode == 0 else done.stderr[-300:]}", flush=True)
            survived += 1
        else:
            print(f"{mutant.name:24} {' '.join(said)[:150]} ({took:.1f} s)", flush=True)
    return survived


def main(arguments):
    if arguments[:1] == ["list"]:
        for number, mutant in enumerate(MUTANTS, 1):
            print(number, mutant.name)
    elif arguments[:1] == ["generate"] and len(arguments) == 3:
        generate(arguments[1], arguments[2])
    elif arguments[:1] == ["run"] and len(arguments) >= 2:
        seeds = int(os.environ["SEEDS"]) if "SEEDS" in os.environ else None
        return 1 if run(arguments[1], arguments[2:], seeds) else 0
    else:
        print(__doc__, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
