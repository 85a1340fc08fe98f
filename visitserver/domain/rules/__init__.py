"""The rules of a visit: `order.RULES` lists them, `engine.decide` asks them, `facts.Facts` is what they may know.

Of these facts each rule looks at no more than its scope has (`scope`): so the engine can ask it once for many visits.
"""
