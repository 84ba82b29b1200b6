"""Reads the fields of the public form that a browser would send again."""

from html.parser import HTMLParser


class ShownForm(HTMLParser):
    """Returns fields and values of the form on a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.fields: list[tuple[str, str]] = []
        self._select, self._text = "", ""
        self.feed(page)

    def value(self, name: str) -> str:
        """Returns the value of a field that occurs once."""
        (found,) = [value for field, value in self.fields if field == name]
        return found

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        if tag == "input" and (given.get("type") != "checkbox" or "checked" in given):
            self.fields.append((given["name"], given.get("value", "")))
        elif tag == "textarea":
            self._text = given["name"]
            self.fields.append((self._text, ""))
        elif tag == "select":
            self._select = given["name"]
        elif tag == "option":
            self._choose(given)

    def _choose(self, option: dict[str, str]) -> None:
        is_first = not any(name == self._select for name, _ in self.fields)
        if is_first or "selected" in option:
            self.fields = [(name, value) for name, value in self.fields if name != self._select]
            self.fields.append((self._select, option["value"]))

    def handle_data(self, data: str) -> None:
        if self._text:
            self.fields[-1] = (self._text, self.fields[-1][1] + data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._text = ""
