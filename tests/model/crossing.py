# A hole that no seed of the delivery model is known to reach, as a schedule: a receipt's hop crosses a message's
# (DELIVERY.md H18e). Run: python3 crossing.py [rule-to-remove]
import sys
from delivery_model import Bad, Server, World

def connect(w, c):
    c.connect(); hear(w, c)
    while c.conn.s2c: c.recv()

def hear(w, c):                                              # the server: all that the client has said
    while c.conn.c2s:
        fr = c.conn.c2s.popleft()
        if fr[0] == "LOGIN": w.srv.hello(c.dev, c.conn, fr[1])
        else: w.srv.on_frame(c.conn, fr)

def work(w):                                                 # cores and store, until there is nothing to do
    s = w.srv
    while any(s.q.values()) or any(s.sq) or s.batch:
        for k in [k for k, v in s.q.items() if v]: s.hop(*k)
        while any(s.sq) and len(s.batch) <= 5: s.store_take()
        s.store_commit()

def say(w, c, to):
    c.compose(); c.rows[-1].to = to

def run(off):
    w = next(w for w in (World(seed, off) for seed in range(1000)) if sum(map(len, w.all.values())) == 2)
    a, b = w.cl[0], w.cl[1]
    w.p_hold = 0
    connect(w, a)
    say(w, a, 1); say(w, a, 1)
    w.p_rej = 1; a.send(); hear(w, a); work(w)               # the first is rejected,
    w.p_rej = 0; a.send(); hear(w, a); work(w)               # the second stored; neither answer arrives
    for c in (a, b): c.conn = None
    w.conns = []; w.srv = Server(w)
    connect(w, a); connect(w, b)
    w.srv.pump(1); b.recv()                                  # the second, and the first
    a.send(); hear(w, a)                                     # again, while
    b.conn.c2s.append(("CONFIRM", 1)); hear(w, b)            # its receipt is made
    work(w)
    b.conn.s2c.clear(); w.srv.end(w.srv.sess[1]); work(w)    # the copy of the first is lost with the connection
    while a.conn.s2c: a.recv()
    assert [r.state for r in a.rows] == ["ticked", "queued"], a.rows
    w.srv.pump(0)                                            # the receipt is told only now
    while a.conn.s2c: a.recv()
    connect(w, b); w.srv.pump(1)
    b.recv(); b.conn.c2s.append(("CONFIRM", 1)); hear(w, b); work(w)
    a.conn.c2s.append(("CONFIRM", 1)); hear(w, a); work(w)
    w.srv.pump(0)
    while a.conn.s2c: a.recv()
    if a.rows[0].prog != 1: raise Bad("NO RECEIPT")

if __name__ == "__main__":
    try: run(set(sys.argv[1:])); print("clean")
    except Bad as e: print(e)
