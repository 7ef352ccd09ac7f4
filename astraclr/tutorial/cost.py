"""What a training run costs: device-hours from a measured rate; energy and money from assumptions that are stated."""

from __future__ import annotations

from dataclasses import dataclass

from astraclr.config import Preset


@dataclass(frozen=True)
class Assumed:
    """What one device takes. Nothing of this is measured here: put in the numbers of your machine and your bill.

    Attributes
    ----------
    price : money a device-hour
    watts : of a device under load, with its share of the host and of the cooling
    carbon : kg of CO2 a kWh of the grid
    """

    price: float
    watts: float
    carbon: float = 0.4


def stars_seen(preset: Preset) -> tuple[int, int]:
    """Fewest and most stars that a run trains on, each counted as often as it is seen.

    The most if it takes all its steps; the fewest if the first validation stays the best one and patience runs out.
    """
    shortest = min(preset.steps, (1 + preset.patience) * preset.evaluate_every)
    return shortest * preset.batch_size, preset.steps * preset.batch_size


def cost(seen: float, rate: float, assumed: Assumed, devices: int = 1) -> dict[str, float]:
    """Hours, energy, money and carbon of training on `seen` stars.

    Parameters
    ----------
    seen : light curves, each counted as often as it is seen
    rate : light curves a second of one device
    devices : that share the run, each at that rate; more than one ends sooner and costs no less

    Returns
    -------
    dict
        device_hours; days on the clock; kwh; money; kg_co2

    Raises
    ------
    ValueError
        For a rate or a number of devices that is not positive.
    """
    if rate <= 0 or devices < 1:
        raise ValueError(
            f"a rate of {rate} light curves/s on {devices} devices: give a rate above 0 and 1 device or more"
        )
    hours = seen / rate / 3600
    kwh = hours * assumed.watts / 1000
    return {
        "device_hours": hours,
        "days": hours / devices / 24,
        "kwh": kwh,
        "money": hours * assumed.price,
        "kg_co2": kwh * assumed.carbon,
    }


def what_if(operations: float, peak: float, utilisation: float) -> float:
    """Light curves a second of a device that nobody measured: an assumption, and to be called one.

    Parameters
    ----------
    operations : floating-point operations of training on one light curve
    peak : of the device, operations a second
    utilisation : share of the peak that training reaches, above 0 and at most 1

    Raises
    ------
    ValueError
        For a utilisation outside that range.
    """
    if not 0 < utilisation <= 1:
        raise ValueError(f"utilisation {utilisation}: a share of the peak, above 0 and at most 1")
    return utilisation * peak / operations
