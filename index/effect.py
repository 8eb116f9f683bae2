"""What a campaign caused: members who were sent it beside members who were held out, at random, and were not."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from configs.errors import InputError
from index.expect import Estimate


@dataclass(frozen=True)
class Effect:
    """Outcomes among members in the list and members held out."""

    listed: int
    listed_with_outcome: int
    held_out: int
    held_out_with_outcome: int
    listed_rate: Estimate
    held_out_rate: Estimate
    difference: Estimate
    """Rate of the listed less that of the held out: what the campaign added to each hundred, over 100."""
    caused: Estimate
    """Outcomes among the listed that would not have been without it."""
    confidence: float

    @property
    def told(self) -> bool:
        """Whether the interval of the difference leaves out nought."""
        return self.difference.low > 0 or self.difference.high < 0


def effect(listed: int, listed_with: int, held_out: int, held_out_with: int, confidence: float = 0.9) -> Effect:
    """The effect, given how many there are and how many of them had the outcome.

    Wilson's interval for each rate; Newcombe's for the difference ("Interval estimation for the difference between
    independent proportions", Statistics in Medicine 17, 1998, method 10). Raises InputError where nobody was held out
    or nobody listed.
    """
    if not held_out:
        raise InputError("nobody was held out of this audience: ask for one with hold_out to measure an effect")
    if not listed:
        raise InputError("nobody is in the list of this audience, so there is no effect to measure")
    one, other = _wilson(listed_with, listed, confidence), _wilson(held_out_with, held_out, confidence)
    value = one.value - other.value
    low = value - float(np.hypot(one.value - one.low, other.high - other.value))
    high = value + float(np.hypot(one.high - one.value, other.value - other.low))
    difference = Estimate(value, low, high)
    caused = Estimate(*(listed * part for part in (value, low, high)))
    return Effect(listed, listed_with, held_out, held_out_with, one, other, difference, caused, confidence)


def _wilson(count: int, of: int, confidence: float) -> Estimate:
    """A rate with Wilson's score interval (JASA 22, 1927)."""
    z = float(ndtri(0.5 + confidence / 2))
    rate = count / of
    middle = (rate + z * z / (2 * of)) / (1 + z * z / of)
    reach = z / (1 + z * z / of) * float(np.sqrt(rate * (1 - rate) / of + z * z / (4 * of * of)))
    return Estimate(rate, max(middle - reach, 0.0) if count else 0.0, min(middle + reach, 1.0) if count < of else 1.0)
