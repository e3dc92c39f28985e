"""Generated stories for small children: a stand-in for TinyStories, which has to be fetched.

A seeded grammar. A story has a hero, a friend, a place and a thing that stay the same from its first sentence to its
last, pronouns and possessives that agree with them, and an ending that depends on what was done: predicting it needs
words from sentences before, so attention helps. Losses on such text say nothing about losses on others.

TinyStories: R. Eldan and Y. Li, "TinyStories: How Small Can Language Models Be and Still Speak Coherent English?",
arXiv 2305.07759.
"""

from __future__ import annotations

import random

_GIRLS = ["Lily", "Mia", "Sara", "Anna", "Lucy", "Emma", "Zoe", "Nora", "Ella", "Rosie"]
_BOYS = ["Tom", "Ben", "Max", "Tim", "Sam", "Leo", "Jack", "Finn", "Theo", "Oscar"]
_ANIMALS = ["cat", "dog", "bunny", "duck", "bear", "mouse", "fox", "frog", "pony", "owl"]
_PLACES = {
    "park": ("swing", "slide", "bench"),
    "forest": ("tree", "path", "stream"),
    "beach": ("wave", "rock", "boat"),
    "garden": ("flower", "bush", "fence"),
    "kitchen": ("table", "oven", "cup"),
    "farm": ("barn", "tractor", "haystack"),
}
_THINGS = {"ball": "bounce", "kite": "fly", "drum": "play", "book": "read", "cake": "eat", "doll": "hug", "car": "push"}
_COLOURS = ["red", "blue", "green", "yellow", "pink", "purple", "big", "tiny", "shiny", "soft"]
_FEELINGS = {"sad": "cry", "scared": "hide", "angry": "shout", "tired": "rest"}
_PROBLEMS = ("lost", "broken", "stuck")


def generate(count: int, seed: int) -> list[str]:
    """Generate different stories of about ten sentences, one line each.

    Args:
        count: How many.
        seed: Seed of the stories; a longer list begins with the shorter ones of the same seed.
    """
    rng = random.Random(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        found[_story(rng)] = None
    return list(found)


def _story(rng: random.Random) -> str:
    girl = rng.random() < 0.5
    hero = rng.choice(_GIRLS if girl else _BOYS)
    they, them, their = ("she", "her", "her") if girl else ("he", "him", "his")
    animal, friend = rng.choice(_ANIMALS), rng.choice(_GIRLS + _BOYS)
    place = rng.choice(list(_PLACES))
    spot, other_spot = rng.sample(_PLACES[place], 2)
    thing, colour = rng.choice(list(_THINGS)), rng.choice(_COLOURS)
    action, problem = _THINGS[thing], rng.choice(_PROBLEMS)
    feeling = rng.choice(list(_FEELINGS))
    kind = rng.random() < 0.7
    who = "girl" if girl else "boy"
    sentences = [
        rng.choice(
            [
                f"Once upon a time, there was a little {who} named {hero}.",
                f"One day, a {who} named {hero} went to the {place}.",
                f"{hero} was a happy {who} who lived near the {place}.",
            ]
        ),
        rng.choice(
            [
                f"{hero} had a {colour} {thing} and {they} loved to {action} it.",
                f"{they.capitalize()} liked to {action} {their} {colour} {thing} every day.",
                f"{their.capitalize()} mom gave {them} a {colour} {thing} to {action}.",
            ]
        ),
        rng.choice(
            [
                f"In the {place}, {they} saw a {animal} near the {spot}.",
                f"A {animal} sat by the {spot} and looked at {them}.",
                f"Behind the {spot} there was a {animal} named {friend}.",
            ]
        ),
    ]
    if rng.random() < 0.6:
        sentences.append(f'"Hello, {animal}! Do you want to {action} my {thing}?" said {hero}.')
        sentences.append(rng.choice([f'"Yes, please," said the {animal}.', f"The {animal} was too shy to talk."]))
    sentences.append(
        {
            "lost": f"But then the {thing} was lost, and {hero} looked under the {spot} and the {other_spot}.",
            "broken": f"But the {thing} hit the {other_spot} and now it was broken.",
            "stuck": f"But the {thing} got stuck on the {other_spot}, and {they} could not reach it.",
        }[problem]
    )
    sentences.append(f"{hero} was very {feeling} and wanted to {_FEELINGS[feeling]}.")
    helped = {"lost": "found it", "broken": "fixed it", "stuck": "got it down"}[problem]
    if kind:
        sentences += [
            f"The {animal} came to help and {helped}.",
            rng.choice([f'"Thank you, {animal}!" said {hero}.', f"{hero} gave the {animal} a big hug."]),
            rng.choice(
                [
                    f"They went home from the {place} together with the {colour} {thing}, and {they} was not {feeling} "
                    "any more.",
                    f"From that day on, {hero} and the {animal} were best friends.",
                ]
            ),
        ]
    else:
        sentences += [
            f"The {animal} laughed and ran away with the {colour} {thing}.",
            f"{hero} went home from the {place} without {their} {thing}.",
            f"{they.capitalize()} learned to be careful with animals.",
        ]
    return " ".join(sentences)
