"""The cost of a training run: device-hours from a measured rate, energy and money from stated assumptions."""

from __future__ import annotations

from dataclasses import dataclass

from astraclr.config import Preset, preset
from astraclr.tutorial.experiments import committed_result


@dataclass(frozen=True)
class Assumed:
    """Price and power of one device. These are assumptions: enter the numbers of your machine and your bill.

    Attributes
    ----------
    price : float
        Money for a device-hour.
    watts : float
        Power of a device under load, with its share of the host and of the cooling.
    carbon : float
        kg of CO2 for a kWh of the grid.

    Examples
    --------
    >>> Assumed(price=2.0, watts=700).carbon
    0.4
    """

    price: float
    watts: float
    carbon: float = 0.4


def stars_seen(preset: Preset) -> tuple[int, int]:
    """Smallest and largest number of stars that a run trains on, each counted every time it is used.

    The largest if the run takes all its steps; the smallest if the first validation stays the best one until patience
    runs out.

    Examples
    --------
    >>> from astraclr.config import preset
    >>> fewest, most = stars_seen(preset("tiny"))
    >>> fewest <= most == preset("tiny").steps * preset("tiny").batch_size
    True
    """
    shortest = min(preset.steps, (1 + preset.patience) * preset.evaluate_every)
    return shortest * preset.batch_size, preset.steps * preset.batch_size


def cost(seen: float, rate: float, assumed: Assumed, devices: int = 1) -> dict[str, float]:
    """Compute time, energy, money and carbon of a training run.

    Parameters
    ----------
    seen : float
        Light curves that the run trains on, each counted every time it is used (`stars_seen`).
    rate : float
        Light curves per second of one device.
    assumed : Assumed
        Price and power of a device.
    devices : int
        Devices that share the run, each at that rate. More devices shorten the run and do not lower its cost.

    Returns
    -------
    dict
        ``device_hours``, ``days`` (elapsed), ``kwh``, ``money``, ``kg_co2``.

    Raises
    ------
    ValueError
        For a rate or a number of devices that is not positive.

    Examples
    --------
    >>> cost(3_600_000, rate=1_000, assumed=Assumed(price=2.0, watts=700), devices=2)["money"]
    2.0
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


def paper_rate(stars: str = "full") -> float:
    """Look up how many light curves per second two cores train on at preset `paper`.

    Parameters
    ----------
    stars : str
        "full" for light curves that fill every window, "simulated" for simulated stars.

    Returns
    -------
    float
        Light curves per second of both cores, as measured by ``benchmarks/training.py``.

    Examples
    --------
    >>> paper_rate("simulated") > paper_rate()
    True
    """
    return committed_result("training")["results"][f"paper, {stars}"]["ours"]["per_s"]


def paper_run(rate: float, assumed: Assumed, devices: int = 1) -> dict[str, dict[str, float]]:
    """Compute the cost of the paper's run, for the fewest and for the most passes that it can take.

    Parameters
    ----------
    rate : float
        Light curves per second of one device (`paper_rate`, `what_if`).
    assumed : Assumed
        Price and power of a device.
    devices : int
        Devices that share the run.

    Returns
    -------
    dict
        The result of `cost` by the number of passes over the training stars, fewest first.

    Examples
    --------
    >>> list(paper_run(1_000, Assumed(price=2.0, watts=700)))
    ['21 passes', '250 passes']
    """
    size = preset("paper")
    one_pass = size.evaluate_every * size.batch_size
    return {f"{seen / one_pass:.0f} passes": cost(seen, rate, assumed, devices) for seen in stars_seen(size)}


def what_if(operations: float, peak: float, utilisation: float) -> float:
    """Light curves per second of a device that was not measured, from an assumed utilisation.

    Parameters
    ----------
    operations : float
        Floating-point operations of training on one light curve.
    peak : float
        Peak rate of the device, operations per second.
    utilisation : float
        Share of the peak that training is assumed to reach, above 0 and at most 1.

    Raises
    ------
    ValueError
        For a utilisation outside that range.

    Examples
    --------
    >>> what_if(operations=1e9, peak=1e12, utilisation=0.5)
    500.0
    """
    if not 0 < utilisation <= 1:
        raise ValueError(f"utilisation {utilisation}: a share of the peak, above 0 and at most 1")
    return utilisation * peak / operations
