"""One whole visit, told in the steps of the people who take part in it."""
