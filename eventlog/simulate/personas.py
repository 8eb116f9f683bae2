"""The cast: behavioural personas, how each spends, moves and talks to its bank, and what life does to them.

Everything is a tilt of a common base, so that personas overlap: a persona's mix of categories is the base mix times
its tilts, normalised. Rates are events per day, amounts are in the bank's currency.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

# category of a card payment -> (base weight, median amount, sigma of the log amount)
CARD: dict[str, tuple[float, float, float]] = {
    "restaurants": (10, 32, 0.55), "fast_food": (8, 11, 0.4), "coffee": (8, 4.5, 0.35), "bars": (4, 24, 0.6),
    "clothing": (6, 45, 0.7), "electronics": (3, 85, 1.0), "home": (4, 60, 0.9), "diy": (3, 38, 0.8),
    "kids": (2.5, 30, 0.7), "pharmacy": (5, 16, 0.6), "health": (2.5, 55, 0.8), "beauty": (4, 28, 0.6),
    "books": (2.5, 18, 0.5), "games": (3, 15, 0.8), "streaming": (4, 12, 0.3), "sports": (3, 35, 0.7),
    "fuel": (7, 52, 0.35), "parking": (4, 5, 0.6), "public_transport": (6, 4, 0.7), "taxi": (3, 16, 0.5),
    "insurance": (1.5, 70, 0.6), "education": (1.2, 90, 1.0), "garden": (1.5, 34, 0.7), "pets": (2, 30, 0.6),
    "charity": (1, 20, 0.8), "gambling": (1.5, 20, 0.9), "jewellery": (0.6, 140, 0.9), "business": (1.5, 75, 0.9),
}  # fmt: skip
TRIP = {"restaurants": 4.0, "coffee": 2.0, "bars": 2.5, "taxi": 4.0, "public_transport": 2.0, "clothing": 1.5,
        "streaming": 0.1, "fuel": 0.4, "insurance": 0.1, "education": 0.1, "kids": 0.4, "garden": 0.0,
        "diy": 0.0}  # fmt: skip
"""Tilts of a customer who is abroad."""

GROCERY_FORMATS = {"supermarket": 5.0, "discount": 3.0, "convenience": 2.0, "online": 1.0, "organic": 0.7}
TRAVEL: dict[str, tuple[float, float, float]] = {
    "train": (5, 38, 0.6), "flight": (2.5, 190, 0.6), "hotel": (3, 150, 0.6), "car_rental": (1, 120, 0.6),
    "package": (0.7, 800, 0.5), "coach": (1, 22, 0.4),
}  # fmt: skip
CASH = {"atm": 10.0, "counter": 0.6, "deposit": 0.6}
TRANSFERS: dict[str, tuple[float, float, float]] = {
    "to_person": (5, 45, 0.9), "from_person": (4, 40, 0.9), "bill": (5, 70, 0.6), "to_savings": (2, 200, 0.8),
    "from_savings": (1, 180, 0.8), "overdraft_fee": (0.1, 12, 0.3), "invoice_in": (0.1, 650, 0.9),
    "supplier_out": (0.1, 300, 0.9), "tax": (0.1, 400, 0.8), "abroad": (0.3, 150, 0.7), "investment": (0.5, 350, 0.9),
}  # fmt: skip
INCOMING = ("from_person", "from_savings", "invoice_in")
DEVICES = {"ios": 4.0, "android": 4.0, "web": 2.5, "tablet": 0.8}
ACTIONS = {"balance": 10.0, "payments": 5.0, "transfer": 3.0, "statement": 1.5, "card_settings": 0.7, "loans": 0.3,
           "mortgage": 0.15, "investments": 0.5, "messages": 0.8}  # fmt: skip
CALLS = {"question": 5.0, "card_lost": 1.0, "fraud": 0.7, "complaint": 1.0, "loan": 0.6, "mortgage": 0.3,
"app_help": 1.5,
         "overdraft": 0.4, "address": 0.6}  # fmt: skip
VISITS = {"cash": 4.0, "advice": 1.5, "documents": 1.5, "deposit": 1.5, "mortgage": 0.4, "complaint": 0.5}
CHANNELS = ("contactless", "chip", "online", "wallet")

SHAPES: dict[str, tuple[tuple[float, float, float], ...]] = {
    "day": ((11, 3, 5), (17, 3, 5)),
    "office": ((8, 1, 3), (12.5, 0.8, 5), (18.5, 1.8, 6)),
    "commute": ((7.2, 0.8, 6), (12.5, 0.9, 2.5), (17.5, 1.0, 6), (20, 1.5, 1.5)),
    "morning": ((9.5, 1.6, 7), (14, 2.5, 3)),
    "school": ((9, 1.2, 4), (15.5, 1.5, 5), (19.5, 1.5, 2)),
    "evening": ((13, 2.5, 3), (20, 2.2, 6), (23, 1.5, 2)),
    "night": ((4, 2.5, 3), (14.5, 3, 3), (22, 2, 5)),
    "weekend": ((11.5, 2.5, 5), (16, 3, 5), (20, 2, 2)),
    "desk": ((10, 1.3, 5), (14.5, 1.5, 4)),
    "batch": ((4, 0.8, 1),),
}
"""Shape of the day -> bumps (hour, width in hours, weight)."""


@dataclass(frozen=True)
class Persona:
    """One way to live with a bank. Tilts multiply the base mix above; what is not named keeps its base weight."""

    name: str
    share: float
    """Of the customers on the first day."""
    joining: float
    """Of those who join later."""
    leaving: float
    """Attrition, relative to the average."""
    rates: tuple[float, float, float, float, float, float, float, float]
    """Events per day: card, groceries, travel, cash, transfer, login, call, branch."""
    spend: float
    """Multiplies amounts of card, groceries and travel."""
    income: tuple[str, float, float]
    """Kind, median a month, share paid weekly."""
    paydays: tuple[int, ...]
    """Days of the month on which an income may come."""
    home: tuple[float, float, float]
    """Share who rent, share with a mortgage, median a month."""
    hours: str
    weekend: float
    """Card and grocery rate on Saturday and Sunday, relative to other days."""
    channels: tuple[float, float, float, float]
    """Mix of contactless, chip, online, wallet."""
    trips: float
    """Chance to go away in a week."""
    squeeze: float
    """How far spending falls from one payday to the next, 0 to 1."""
    card: Mapping[str, float]
    groceries: Mapping[str, float] = field(default_factory=dict)
    travel: Mapping[str, float] = field(default_factory=dict)
    cash: Mapping[str, float] = field(default_factory=dict)
    transfer: Mapping[str, float] = field(default_factory=dict)
    devices: Mapping[str, float] = field(default_factory=dict)
    actions: Mapping[str, float] = field(default_factory=dict)
    calls: Mapping[str, float] = field(default_factory=dict)
    visits: Mapping[str, float] = field(default_factory=dict)


PERSONAS: tuple[Persona, ...] = (
    Persona(
        "student", 0.10, 0.24, 1.1, (0.75, 0.20, 0.030, 0.04, 0.12, 0.80, 0.006, 0.003), 0.62,
        ("grant", 850, 0.1), (1, 5), (0.75, 0.0, 420), "evening", 1.2, (4, 2, 3, 4), 0.012, 0.55,
        {"fast_food": 2.2, "bars": 2.5, "games": 2.2, "public_transport": 2.5, "education": 3, "books": 2,
         "streaming": 1.6,
         "coffee": 1.4, "fuel": 0.25, "garden": 0.1, "diy": 0.3, "insurance": 0.3, "kids": 0.1, "jewellery": 0.4},
        groceries={"discount": 2.0, "convenience": 1.8, "organic": 0.5}, travel={"coach": 4, "hotel": 0.5,
        "package": 0.3},
        transfer={"to_person": 2.2, "from_person": 3.0, "to_savings": 0.4, "investment": 0.1},
        devices={"web": 0.5, "tablet": 0.5}, actions={"balance": 1.5, "loans": 1.5, "investments": 0.3},
    ),
    Persona(
        "young_professional", 0.13, 0.20, 1.1, (0.95, 0.26, 0.035, 0.03, 0.09, 0.50, 0.007, 0.003), 1.0,
        ("salary", 2500, 0.05), (25, 27, 28), (0.8, 0.1, 850), "office", 1.15, (5, 2, 3, 3), 0.02, 0.3,
        {"restaurants": 1.6, "coffee": 1.7, "bars": 1.8, "sports": 1.8, "clothing": 1.4, "taxi": 1.7, "streaming": 1.4,
         "garden": 0.2, "kids": 0.2, "diy": 0.6, "pets": 0.7},
        groceries={"convenience": 2.0, "online": 1.3}, travel={"flight": 1.4}, transfer={"to_person": 1.4,
        "to_savings": 1.3},
        devices={"ios": 1.4, "web": 0.7}, actions={"investments": 1.3},
    ),
    Persona(
        "young_family", 0.10, 0.10, 0.7, (0.75, 0.52, 0.015, 0.045, 0.09, 0.42, 0.014, 0.006), 1.0,
        ("salary", 2900, 0.1), (25, 27, 28, 1), (0.5, 0.45, 1050), "school", 1.25, (4, 3, 4, 2), 0.010, 0.35,
        {"kids": 8, "pharmacy": 2.0, "home": 1.7, "bars": 0.25, "fuel": 1.3, "education": 2, "health": 1.5,
         "games": 0.5, "jewellery": 0.6},
        groceries={"supermarket": 1.6, "online": 2.0, "organic": 1.5}, travel={"package": 2.0, "car_rental": 1.4},
        transfer={"to_savings": 1.3, "bill": 1.3}, actions={"loans": 1.5, "mortgage": 2.0}, calls={"mortgage": 2,
        "loan": 1.6},
    ),
    Persona(
        "established_family", 0.13, 0.06, 0.6, (0.78, 0.46, 0.020, 0.055, 0.08, 0.30, 0.011, 0.007), 1.18,
        ("salary", 3700, 0.05), (25, 27, 28, 1), (0.2, 0.65, 1150), "day", 1.35, (4, 4, 3, 1), 0.014, 0.2,
        {"fuel": 1.8, "diy": 2.0, "home": 1.6, "garden": 1.8, "kids": 2.2, "education": 2.5, "insurance": 2.0,
         "pets": 1.7,
         "bars": 0.5, "games": 0.8, "taxi": 0.5, "sports": 1.3},
        groceries={"supermarket": 1.8, "convenience": 0.5}, travel={"package": 2.5, "car_rental": 1.6, "hotel": 1.3},
        transfer={"bill": 1.5, "to_savings": 1.5, "to_person": 0.8}, devices={"web": 1.4, "tablet": 1.5},
    ),
    Persona(
        "affluent_professional", 0.05, 0.04, 0.8, (1.05, 0.28, 0.060, 0.025, 0.11, 0.38, 0.010, 0.007), 1.9,
        ("salary", 6800, 0.0), (25, 28), (0.25, 0.6, 1900), "office", 1.05, (4, 3, 3, 4), 0.035, 0.08,
        {"restaurants": 1.9, "jewellery": 4, "clothing": 1.5, "health": 1.6, "charity": 2.2, "taxi": 2.0, "books": 1.3,
         "fast_food": 0.35, "gambling": 0.4, "games": 0.5, "home": 1.4},
        groceries={"organic": 4, "online": 1.6, "discount": 0.3}, travel={"flight": 2.0, "hotel": 1.8, "coach": 0.1},
        transfer={"investment": 6, "to_savings": 2.0}, devices={"ios": 1.8, "android": 0.6},
        actions={"investments": 5, "statement": 1.4}, visits={"advice": 3},
    ),
    Persona(
        "self_employed", 0.06, 0.06, 0.9, (0.85, 0.24, 0.030, 0.09, 0.34, 0.62, 0.018, 0.024), 1.1,
        ("drawings", 2300, 0.3), (3, 10, 18), (0.4, 0.45, 950), "day", 0.85, (3, 4, 4, 2), 0.012, 0.15,
        {"business": 14, "fuel": 1.7, "parking": 1.7, "electronics": 1.5, "diy": 1.7, "insurance": 1.8, "bars": 0.7},
        groceries={"convenience": 1.3}, cash={"deposit": 9}, travel={"train": 1.2},
        transfer={"invoice_in": 50, "supplier_out": 35, "tax": 15}, devices={"web": 2.2},
        actions={"payments": 1.5, "statement": 2.5, "loans": 2.0}, calls={"loan": 2.5}, visits={"deposit": 4,
        "documents": 1.6},
    ),
    Persona(
        "commuter", 0.10, 0.08, 0.9, (0.95, 0.26, 0.035, 0.035, 0.06, 0.36, 0.008, 0.004), 0.92,
        ("salary", 2700, 0.05), (25, 27, 28), (0.5, 0.35, 850), "commute", 0.65, (6, 2, 2, 3), 0.010, 0.25,
        {"public_transport": 4.5, "coffee": 2.2, "parking": 2.6, "fuel": 1.5, "fast_food": 1.5, "books": 1.5,
         "bars": 0.8},
        groceries={"convenience": 2.5}, travel={"train": 3.0, "flight": 0.6}, devices={"web": 0.6},
    ),
    Persona(
        "frequent_traveller", 0.03, 0.03, 1.2, (1.0, 0.16, 0.200, 0.05, 0.08, 0.50, 0.012, 0.002), 1.35,
        ("salary", 4100, 0.0), (25, 28), (0.6, 0.25, 1100), "office", 1.0, (4, 3, 3, 4), 0.26, 0.12,
        {"taxi": 3.0, "restaurants": 1.8, "coffee": 1.5, "insurance": 1.5, "garden": 0.2, "pets": 0.2, "diy": 0.3},
        groceries={"convenience": 2.2}, travel={"flight": 2.6, "hotel": 2.2, "train": 0.9},
        transfer={"abroad": 4}, calls={"card_lost": 2, "fraud": 2.5}, actions={"card_settings": 2.5},
    ),
    Persona(
        "retiree", 0.13, 0.05, 0.6, (0.42, 0.38, 0.014, 0.085, 0.045, 0.12, 0.022, 0.028), 0.85,
        ("pension", 1700, 0.0), (1, 15), (0.35, 0.08, 600), "morning", 0.75, (2, 7, 1, 0.3), 0.016, 0.15,
        {"pharmacy": 3.5, "health": 3.0, "garden": 4, "charity": 3.5, "books": 1.5, "games": 0.15, "bars": 0.3,
         "fast_food": 0.35, "streaming": 0.4, "taxi": 0.6, "kids": 0.6, "sports": 0.5, "education": 0.2},
        groceries={"supermarket": 1.5, "online": 0.2, "convenience": 0.8}, travel={"coach": 3, "package": 3,
        "flight": 0.6},
        cash={"counter": 4}, transfer={"from_person": 0.5, "bill": 1.3, "to_person": 0.8},
        devices={"web": 2.5, "tablet": 3.5, "ios": 0.6, "android": 0.6}, calls={"app_help": 2.5}, visits={"cash": 1.3},
    ),
    Persona(
        "cash_preferring", 0.05, 0.03, 0.9, (0.16, 0.12, 0.006, 0.21, 0.035, 0.07, 0.018, 0.036), 0.9,
        ("salary", 1900, 0.35), (1, 15, 28), (0.6, 0.2, 650), "day", 1.1, (1, 8, 0.5, 0.1), 0.006, 0.3,
        {"fuel": 2.0, "pharmacy": 1.4, "streaming": 0.3, "games": 0.4, "diy": 1.3},
        groceries={"discount": 1.6, "online": 0.1}, cash={"counter": 3.5, "deposit": 2.5}, transfer={"bill": 1.4},
        devices={"web": 2.0}, visits={"cash": 2.2},
    ),
    Persona(
        "digital_native", 0.05, 0.08, 1.6, (1.15, 0.26, 0.025, 0.008, 0.20, 1.10, 0.003, 0.001), 0.85,
        ("salary", 2300, 0.1), (25, 27, 28, 1), (0.75, 0.1, 800), "evening", 1.1, (2, 0.4, 7, 7), 0.014, 0.3,
        {"games": 4, "streaming": 3.0, "electronics": 2.4, "fast_food": 1.5, "taxi": 1.8, "clothing": 1.3, "fuel": 0.4,
         "garden": 0.1, "parking": 0.4},
        groceries={"online": 6, "convenience": 1.4}, transfer={"to_person": 2.0, "from_person": 1.8, "investment": 2.5},
        devices={"web": 0.3, "tablet": 0.4}, actions={"investments": 2.5, "card_settings": 2.0},
    ),
    Persona(
        "struggling", 0.05, 0.02, 1.3, (0.58, 0.30, 0.004, 0.11, 0.075, 0.75, 0.026, 0.008), 0.6,
        ("benefit", 1200, 0.45), (1, 10, 28), (0.85, 0.04, 620), "day", 1.05, (4, 4, 2, 1.5), 0.002, 0.8,
        {"gambling": 6, "fast_food": 1.6, "restaurants": 0.5, "jewellery": 0.1, "sports": 0.5, "insurance": 0.5,
         "games": 1.4, "charity": 0.2},
        groceries={"discount": 3.0, "organic": 0.1, "online": 0.4}, transfer={"overdraft_fee": 25, "to_savings": 0.15,
        "from_savings": 1.4, "from_person": 1.6, "investment": 0.0},
        devices={"android": 1.8}, actions={"balance": 2.0, "loans": 4}, calls={"overdraft": 8, "loan": 2.5,
        "complaint": 1.5},
    ),
    Persona(
        "shift_worker", 0.02, 0.01, 1.0, (0.68, 0.28, 0.010, 0.085, 0.065, 0.34, 0.011, 0.004), 0.85,
        ("salary", 2100, 0.6), (1, 15, 28), (0.6, 0.25, 700), "night", 0.95, (4, 4, 2, 2), 0.006, 0.4,
        {"fuel": 1.8, "fast_food": 2.0, "coffee": 1.6, "bars": 0.6, "gambling": 1.5, "public_transport": 1.3},
        groceries={"convenience": 3.0, "discount": 1.4},
    ),
)  # fmt: skip

NAMES: tuple[str, ...] = tuple(persona.name for persona in PERSONAS)

TRANSITIONS: tuple[tuple[str, str, str, float], ...] = (
    ("student", "new_job", "young_professional", 0.16), ("student", "new_job", "digital_native", 0.06),
    ("student", "new_job", "commuter", 0.07), ("student", "job_loss", "struggling", 0.02),
    ("young_professional", "child", "young_family", 0.07), ("young_professional", "new_job", "commuter", 0.04),
    ("young_professional", "promotion", "affluent_professional", 0.03),
    ("young_professional", "job_loss", "struggling", 0.02),
    ("young_professional", "new_job", "frequent_traveller", 0.02),
    ("young_professional", "business", "self_employed", 0.02),
    ("young_family", "house", "established_family", 0.12), ("young_family", "divorce", "struggling", 0.02),
    ("established_family", "retirement", "retiree", 0.04), ("established_family", "divorce", "commuter", 0.02),
    ("established_family", "promotion", "affluent_professional", 0.02),
    ("affluent_professional", "retirement", "retiree", 0.04),
    ("affluent_professional", "new_job", "frequent_traveller", 0.04),
    ("affluent_professional", "divorce", "young_professional", 0.02),
    ("self_employed", "new_job", "commuter", 0.05), ("self_employed", "job_loss", "struggling", 0.03),
    ("self_employed", "retirement", "retiree", 0.02),
    ("commuter", "child", "young_family", 0.05), ("commuter", "house", "established_family", 0.04),
    ("commuter", "new_job", "shift_worker", 0.01), ("commuter", "job_loss", "struggling", 0.02),
    ("frequent_traveller", "new_job", "affluent_professional", 0.08),
    ("frequent_traveller", "child", "young_family", 0.04),
    ("cash_preferring", "retirement", "retiree", 0.04), ("cash_preferring", "new_job", "shift_worker", 0.02),
    ("digital_native", "new_job", "young_professional", 0.10), ("digital_native", "child", "young_family", 0.04),
    ("struggling", "new_job", "shift_worker", 0.06), ("struggling", "new_job", "commuter", 0.10),
    ("shift_worker", "new_job", "commuter", 0.06), ("shift_worker", "retirement", "retiree", 0.03),
)  # fmt: skip
"""(persona, life event, persona after it, events a year): the only ways from one persona to another."""

LIFE_EVENTS: tuple[str, ...] = tuple(sorted({event for _, event, _, _ in TRANSITIONS}))
