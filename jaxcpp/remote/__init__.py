"""Vendors that keep their agent at home: the wire between the coordinator and them.

`messages` is the contract (docs/agent-protocol.md), `client` the coordinator's end, `server` the vendor's;
`flight` and `https` carry the messages.
"""
