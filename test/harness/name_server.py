"""A name server on a free port of this host: CNAME records from a table, over UDP."""

from __future__ import annotations

import socket
import threading

import dns.flags
import dns.message
import dns.rcode
import dns.rrset


class NameServer:
    """records: target and TTL in seconds by name. silent: names for which nothing is answered. broken: SERVFAIL.

    asked: the names of all requests, in order.
    """

    def __init__(self) -> None:
        self.records: dict[str, tuple[str, int]] = {}
        self.silent: set[str] = set()
        self.broken: set[str] = set()
        self.asked: list[str] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> NameServer:
        self._thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"", self._socket.getsockname())
        self._thread.join(10)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            data, client = self._socket.recvfrom(4096)
            if not data:
                return
            answer = self._answer(dns.message.from_wire(data))
            if answer is not None:
                self._socket.sendto(answer.to_wire(), client)

    def _answer(self, request: dns.message.Message) -> dns.message.Message | None:
        question = request.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        self.asked.append(name)
        if name in self.silent:
            return None
        answer = dns.message.make_response(request)
        answer.flags |= dns.flags.RA
        if name in self.broken:
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif name in self.records:
            target, ttl = self.records[name]
            answer.answer.append(dns.rrset.from_text(question.name, ttl, "IN", "CNAME", target + "."))
        else:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer
