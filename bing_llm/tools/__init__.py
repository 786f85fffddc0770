"""Tools and JSON answers for a service that knows only text.

What a prompt says about them (`prompt`), which calls a reply holds (`parser`), and the JSON of a reply (`json_answer`).
"""
