"""Why a step cannot continue, as one sentence with what to do."""

from simpul_cli.languages import Message


class Refusal(Exception):
    """A step cannot continue; nothing that ran before was stopped, and the sentence says what to do."""

    def __init__(self, sentence: Message) -> None:
        super().__init__(str(sentence))
        self.sentence = sentence
