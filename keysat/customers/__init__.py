"""Who buys: the only home of e-mail, name and note."""
