"""How well a real model calls tools and writes objects, by the prompt of `bing_llm.tools` and by its peers.

`tasks`, `objects` and `agents` hold what is asked, `checks` what counts as right. They were written before the first
wording was tried, and do not change with it. The even half of each kind is for tuning; the odd half is set aside.
"""
