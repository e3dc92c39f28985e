"""Generated headlines of technology news: a stand-in for a real collection, which is not shipped.

A seeded grammar. Each headline has a topic and the short and long dependencies of real ones: a company has its own
products, a topic its own nouns and verbs, a year agrees with its version, a question ends in a question mark. Names are
built from syllables and used with Zipf's frequencies, so that some are common and some rare, as a tokenizer needs.
Losses on such text say nothing about losses on real headlines.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

_ONSETS = [*"bcdfgklmnprstvz", "br", "cl", "cr", "dr", "fl", "gr", "pl", "st", "tr", "qu", "sh"]
_NUCLEI = [*"aeiou", "ai", "ee", "ia", "io", "oo"]
_CODAS = ["", "", "", "n", "r", "x", "l", "m", "s", "ck", "nt"]
_ENDINGS = ["ly", "ify", "base", "stack", "hub", "labs", "flow", "DB", "kit", "works"]

_TOPICS: dict[str, tuple[str, str, str, str]] = {
    # things, adjectives, plural fields, verbs in the third person
    "languages": (
        "compiler|parser|type checker|garbage collector|package manager|debugger|linter|runtime|borrow checker",
        "statically typed|functional|embeddable|tiny|self-hosted|gradually typed|memory-safe",
        "macros|generics|closures|coroutines|pattern matching|algebraic effects|error messages",
        "compiles|type-checks|formats|optimizes|interprets|transpiles",
    ),
    "databases": (
        "query planner|storage engine|B-tree|write-ahead log|index|column store|key-value store|vector database",
        "distributed|in-memory|append-only|replicated|embedded|transactional|time-series",
        "joins|migrations|transactions|backups|full-text search|stored procedures|snapshots",
        "replicates|indexes|shards|caches|compacts|queries",
    ),
    "learning": (
        "language model|neural network|transformer|image classifier|tokenizer|training loop|diffusion model|optimizer",
        "open-source|pretrained|quantized|sparse|multimodal|self-supervised|on-device",
        "embeddings|gradients|scaling laws|hallucinations|benchmarks|attention heads|data sets",
        "learns|predicts|generates|classifies|translates|summarizes",
    ),
    "security": (
        "password manager|firewall|VPN|sandbox|browser extension|certificate authority|bug bounty|zero-day",
        "encrypted|leaked|malicious|end-to-end encrypted|anonymous|hardened|post-quantum",
        "passwords|data breaches|side channels|phishing emails|supply-chain attacks|cookies|backdoors",
        "leaks|encrypts|patches|blocks|exposes|audits",
    ),
    "hardware": (
        "laptop|keyboard|microcontroller|graphics card|e-reader|satellite|3D printer|robot arm|solar panel",
        "open-hardware|battery-powered|mechanical|fanless|low-power|modular|retro",
        "batteries|chips|transistors|sensors|antennas|circuit boards|floppy disks",
        "ships|cools|powers|emulates|overclocks|repairs",
    ),
    "work": (
        "startup|remote team|job interview|side project|four-day week|open office|on-call rotation|pitch deck",
        "profitable|bootstrapped|burned-out|fully remote|early-stage|failing|two-person",
        "meetings|layoffs|salaries|stock options|deadlines|code reviews|performance reviews",
        "hires|pivots|fires|raises|ships|acquires",
    ),
    "science": (
        "telescope|black hole|vaccine|exoplanet|fusion reactor|fossil|protein|quantum computer|coral reef",
        "ancient|superconducting|interstellar|microscopic|lab-grown|extinct|radioactive",
        "neutrinos|bacteria|galaxies|mutations|earthquakes|migratory birds|proofs",
        "detects|observes|simulates|measures|reproduces|refutes",
    ),
}
_PLACES = [
    *("California", "Berlin", "Tokyo", "London", "Iceland", "Brazil"),
    *("Europe", "India", "Canada", "Kenya", "Norway", "Texas"),
]
_PEOPLE = [
    *("Scientists", "Researchers", "Engineers", "Teenagers", "Regulators"),
    *("Astronomers", "Hackers", "Economists", "Librarians"),
]
_REASONS = ["it is too slow", "nobody maintained it", "the bill was too high", "we could", "users asked", "it failed"]
_UNITS = {"languages": "lines of code", "databases": "rows", "learning": "parameters", "security": "accounts"}
_LANGUAGES = ["Rust", "Go", "Python", "C++", "Haskell", "Zig", "Lisp", "Erlang"]
_AGES = ["a decade", "two years", "six months", "one weekend", "30 days", "a year"]


def generate(count: int, seed: int) -> list[str]:
    """Generate different headlines.

    Args:
        count: How many.
        seed: Seed of names and headlines; a longer list begins with the shorter ones of the same seed.
    """
    writer = _Writer(random.Random(seed))
    found: dict[str, None] = {}
    while len(found) < count:
        found[writer.headline()] = None
    return list(found)


class _Writer:
    """Invents companies, products and languages once, then writes about them."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.companies = [self._name() for _ in range(120)]
        self.products = {company: self._products() for company in self.companies}
        self.home = {company: rng.choice(list(_TOPICS)) for company in self.companies}
        self.languages = [*_LANGUAGES, *(self._name() for _ in range(12))]
        self.place = {company: rng.choice(_PLACES) for company in self.companies}
        self.forms: list[Callable[[str], str]] = [
            *(self._show, self._show, self._news, self._news, self._news, self._why, self._how, self._ask),
            *(self._number, self._study, self._personal, self._release, self._year, self._versus, self._place),
        ]

    def headline(self) -> str:
        """One headline; a company's name, if there is one, comes with its own topic, products and place."""
        return self.rng.choice(self.forms)(self.rng.choice(list(_TOPICS)))

    def _zipf(self, values: Sequence[str]) -> str:
        """The n-th value with a probability that falls like 1 / n."""
        return values[min(int(len(values) ** self.rng.random()) - 1, len(values) - 1)]

    def _name(self) -> str:
        rng = self.rng
        syllables = ["".join([rng.choice(_ONSETS), rng.choice(_NUCLEI), rng.choice(_CODAS)]) for _ in range(2)]
        word = "".join(syllables[: rng.choice([1, 2, 2])]).capitalize()
        return word + (rng.choice(_ENDINGS) if rng.random() < 0.5 or len(word) < 4 else "")

    def _products(self) -> list[str]:
        return [self._name() for _ in range(self.rng.randint(1, 4))]

    def _company(self) -> tuple[str, str, str]:
        """A company, one of its products and its topic."""
        company = self._zipf(self.companies)
        return company, self._zipf(self.products[company]), self.home[company]

    def _part(self, topic: str, which: int) -> str:
        return self._zipf(_TOPICS[topic][which].split("|"))

    def _thing(self, topic: str, *, article: bool = True) -> str:
        words = self._part(topic, 0)
        if self.rng.random() < 0.5:
            words = f"{self._part(topic, 1)} {words}"
        if not article:
            return words
        return f"{'an' if words[0].lower() in 'aeiou' and not words.startswith('un') else 'a'} {words}"

    def _show(self, topic: str) -> str:
        name, language = self._name(), self._zipf(self.languages)
        ending = self.rng.choice([f" written in {language}", f" in {language}", f" for {self._part(topic, 2)}", "", ""])
        return f"Show HN: {name} – {_upper(self._thing(topic))}{ending}"

    def _news(self, _topic: str) -> str:
        company, product, topic = self._company()
        other, theirs, _ = self._company()
        millions = self.rng.choice([2, 5, 12, 40, 100, 250])
        return self.rng.choice(
            [
                f"{company} launches {product}, {self._thing(topic)}",
                f"{company} raises ${millions}M to build {self._thing(topic)}",
                f"{company} acquires {other}, maker of {theirs}",
                f"{company}'s {product} now {self._part(topic, 3)} {self._part(topic, 2)}",
                f"{company} shuts down {product}",
                f"{company} of {self.place[company]} sues {other} over {self._part(topic, 2)}",
                f"{product}, the {self._thing(topic, article=False)} by {company}, is now open source",
            ]
        )

    def _why(self, topic: str) -> str:
        old, new = self.rng.sample(self.languages, 2)
        company, product, home = self._company()
        return self.rng.choice(
            [
                f"Why we moved from {old} to {new}: {self.rng.choice(_REASONS)}",
                f"Why {company} rewrote {product} in {new}",
                f"Why your {self._part(topic, 0)} needs better {self._part(topic, 2)}",
                f"Why {self._part(home, 2)} at {company} are harder than they look",
            ]
        )

    def _how(self, topic: str) -> str:
        company, product, home = self._company()
        faster = self.rng.choice([2, 3, 5, 10, 100])
        return self.rng.choice(
            [
                f"How to build {self._thing(topic)} in {self._zipf(self.languages)}",
                f"How {company} made {product} {faster}x faster",
                f"How {company} {self._part(home, 3)} {self._part(home, 2)} at scale",
                f"How {self._thing(topic)} {self._part(topic, 3)} {self._part(topic, 2)}",
            ]
        )

    def _ask(self, topic: str) -> str:
        return self.rng.choice(
            [
                f"Ask HN: What is the best {self._thing(topic, article=False)} for {self._part(topic, 2)}?",
                f"Ask HN: How do you deal with {self._part(topic, 2)}?",
                f"Ask HN: Is anyone still using {self._zipf(self.languages)} for {self._part(topic, 2)}?",
                f"Ask HN: Who {self._part(topic, 3)} {self._part(topic, 2)} in {self.rng.choice(_PLACES)}?",
            ]
        )

    def _number(self, topic: str) -> str:
        amount = f"{self.rng.choice([1, 2, 3, 5, 7, 10])}{self.rng.choice([' million', ' billion', ',000', '0,000'])}"
        unit = _UNITS.get(topic, self._part(topic, 2))
        return f"{_upper(self._thing(topic))} with {amount} {unit}"

    def _study(self, topic: str) -> str:
        verb = self.rng.choice(["find", "build", "warn of", "explain", "discover"])
        return (
            f"{self.rng.choice(_PEOPLE)} {verb} {self._thing(topic)} that {self._part(topic, 3)} {self._part(topic, 2)}"
        )

    def _personal(self, topic: str) -> str:
        return self.rng.choice(
            [
                f"I spent {self.rng.choice(_AGES)} building {self._thing(topic)}",
                f"What I learned from {self.rng.choice(_AGES)} of {self._part(topic, 2)}",
                f"My {self._thing(topic, article=False)} {self._part(topic, 3)} {self._part(topic, 2)}",
                f"I quit my job to work on {self._thing(topic)}",
            ]
        )

    def _release(self, _topic: str) -> str:
        _, product, topic = self._company()
        major = self.rng.choice([1, 2, 2, 3, 4, 5])
        minor = self.rng.choice([0, 0, 0, 1, 2])
        news = "a rewrite" if minor == 0 else "bug fixes"
        return f"{product} {major}.{minor} released: {news} and better {self._part(topic, 2)}"

    def _year(self, topic: str) -> str:
        year = self.rng.randint(1979, 2024)
        state = "early" if year < 1995 else "late"
        return f"The {state} history of the {self._part(topic, 0)} ({year}) [{'pdf' if year < 1995 else 'video'}]"

    def _versus(self, topic: str) -> str:
        old, new = self.rng.sample(self.languages, 2)
        return f"{old} vs. {new}: {self._part(topic, 2)} compared"

    def _place(self, topic: str) -> str:
        place = self.rng.choice(_PLACES)
        return f"{place} {self.rng.choice(['bans', 'taxes', 'funds'])} {self._part(topic, 1)} {self._part(topic, 2)}"


def _upper(words: str) -> str:
    return words[0].upper() + words[1:]
