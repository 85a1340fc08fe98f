"""The rules of a visit: `order.RULES` lists them, `engine.decide` asks them, `facts.Facts` is what they may know."""
