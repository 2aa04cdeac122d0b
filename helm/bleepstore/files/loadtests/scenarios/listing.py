"""Listings of many keys while others come and go."""

from __future__ import annotations

from locust import task

from loadtests.scenarios.client import Answer, Pairs, scenario
from loadtests.scenarios.ground import FOLDER_KEYS
from loadtests.scenarios.small import SmallObjects

PAGE_KEYS = 100
WALK_PAGES_MAX = 10


@scenario("list-heavy")
class ListHeavy(SmallObjects):
    """A file browser or a synchronisation: pages, folders and walks. The keys that come back are compared one by one."""

    @task(50)
    def page(self) -> None:
        """One page that begins anywhere."""
        first = self.dice.randrange(self.ground.settings.keys)
        after = self.ground.seeded_key(first - 1) if first else ""
        self._list(f"page of {PAGE_KEYS} keys", first, [("max-keys", str(PAGE_KEYS)), ("start-after", after)])

    @task(25)
    def folders(self) -> None:
        """The folders that one sees at the top."""
        count = min(1_000, -(-self.ground.settings.keys // FOLDER_KEYS))
        query = [("list-type", "2"), ("prefix", self.ground.seeded), ("delimiter", "/")]
        self.ask("GET", "page of folders", query=query, check=lambda answer: len(_prefixes(answer)) == count)

    @task(10)
    def walk(self) -> None:
        """Page after page, each from where the last one ended."""
        first, token = 0, ""
        for _ in range(WALK_PAGES_MAX):
            query = [("max-keys", str(PAGE_KEYS))] + ([("continuation-token", token)] if token else [])
            answer = self._list(f"next page of {PAGE_KEYS} keys", first, query)
            first += PAGE_KEYS
            tokens = answer.texts("NextContinuationToken")
            if not tokens:
                return
            token = tokens[0]

    @task(8)
    def write(self) -> None:
        self.put_own()

    @task(7)
    def remove(self) -> None:
        self.delete_own()

    def _list(self, name: str, first: int, query: Pairs) -> Answer:
        """A page that must begin with the seeded key of that number."""
        numbers = range(first, min(first + PAGE_KEYS, self.ground.settings.keys))
        expected = [self.ground.seeded_key(number) for number in numbers]
        query = [("list-type", "2"), ("prefix", self.ground.seeded), *query]
        return self.ask("GET", name, query=query, check=lambda answer: answer.texts("Key") == expected)


def _prefixes(answer: Answer) -> list[str]:
    """All but the one that was asked for, which stands there too."""
    return answer.texts("Prefix")[1:]
