"""The kinds of star that are simulated: ranges of amplitudes, periods, colours and shapes, one row for each kind.

The numbers are round values (amplitudes and periods as in the Gaia DR3 variability papers, Eyer et al. 2023, A&A 674,
A13), adjusted until real RR Lyrae and eclipsing stars agree (`astraclr.simulation.realism`); this is not a physical
model.
"""

from __future__ import annotations

from dataclasses import dataclass

Range = tuple[float, float]


@dataclass(frozen=True)
class Kind:
    """Ranges from which the numbers of one kind of star are drawn.

    Magnitudes and amplitudes are in mag, amplitudes in band r; periods and time scales are in days.

    Examples
    --------
    >>> Kind("RR", period=(0.42, 0.9), amplitude=(0.45, 1.4), pulse=(1, 1), subclass="RRab").period
    (0.42, 0.9)
    """

    label: str
    weight: float = 1.0  # share of this kind among the kinds of its class
    mag: Range = (14.5, 19.3)  # mean r before extinction
    g_r: Range = (0.4, 1.0)
    r_i: Range = (0.1, 0.4)
    blue: Range = (1.1, 1.3)  # amplitude in g / amplitude in r
    red: Range = (0.75, 0.9)  # amplitude in i / amplitude in r
    period: Range = (1.0, 10.0)
    amplitude: Range = (0.0, 0.0)  # peak to peak, of the periodic part
    pulse: Range = (0.0, 0.0)  # weights of the four ingredients of the template ...
    eclipse: Range = (0.0, 0.0)
    double: Range = (0.0, 0.0)
    spots: Range = (0.0, 0.0)
    rise: Range = (0.5, 0.5)  # ... and their shapes: share of the period spent getting brighter
    sharp: Range = (1.0, 1.0)  # above 1: narrow maxima, flat minima
    width: Range = (0.05, 0.05)  # half-width of an eclipse, in phase
    second: Range = (1.0, 1.0)  # depth of the second eclipse or hump / the first
    slow: Range = (0.0, 0.0)  # depth of the modulation of the amplitude
    slow_period: Range = (50.0, 1000.0)
    walk: Range = (0.0, 0.0)  # standard deviation of the Ornstein-Uhlenbeck process
    tau: Range = (10.0, 100.0)  # its correlation time
    skew: Range = (0.0, 0.0)  # above 0: dips; below 0: bursts
    outburst: Range = (0.0, 0.0)
    recurrence: Range = (20.0, 200.0)
    duration: Range = (4.0, 15.0)
    flicker: Range = (0.0, 0.0)  # scatter from one epoch to the next
    flare: Range = (0.0, 0.0)  # mean size of a flare
    flare_rate: float = 0.004  # probability that an epoch shows one
    subclass: str = ""  # its finer name, where the class has kinds that catalogues tell apart


KINDS: tuple[Kind, ...] = (
    Kind("AGN", mag=(16.5, 19.8), g_r=(-0.1, 0.8), r_i=(-0.1, 0.4), blue=(1.0, 1.35), walk=(0.04, 0.28),
           tau=(30, 600)),
    Kind("YSO", 0.6, mag=(14, 19.2), g_r=(0.6, 1.7), r_i=(0.2, 1.1), period=(2, 14), amplitude=(0.03, 0.3),
           spots=(1, 1), slow=(0.3, 0.9), walk=(0.03, 0.40), tau=(2, 60), skew=(0.1, 0.9), flicker=(0.01, 0.08)),
    Kind("YSO", 0.4, mag=(14, 19.2), g_r=(0.6, 1.7), r_i=(0.2, 1.1), period=(2, 14), amplitude=(0.03, 0.2),
           spots=(1, 1), slow=(0.3, 0.9), walk=(0.03, 0.35), tau=(2, 100), skew=(-0.9, -0.1), flicker=(0.01, 0.10)),
    Kind("SOLAR_LIKE", mag=(13.8, 18.0), g_r=(0.4, 1.4), r_i=(0.1, 0.7), blue=(1.05, 1.3), period=(0.5, 25),
           amplitude=(0.015, 0.12), spots=(1, 1), slow=(0.3, 0.9), slow_period=(40, 600), walk=(0.003, 0.02),
           tau=(50, 400), flare=(0.03, 0.25)),
    Kind("S", mag=(15.0, 19.5), g_r=(-0.2, 1.2), r_i=(-0.1, 0.5), blue=(0.95, 1.4), period=(0.03, 0.5),
           amplitude=(0.05, 0.45), spots=(0.5, 1), double=(0, 0.5), second=(0.7, 1), slow=(0.1, 1.0),
           slow_period=(0.4, 6), flicker=(0.005, 0.08)),
    Kind("CV", 0.65, mag=(17.0, 20.0), g_r=(-0.1, 0.7), r_i=(0.0, 0.4), blue=(1.0, 1.15), red=(0.85, 1),
           period=(0.055, 0.3), amplitude=(0.05, 0.3), double=(1, 1), second=(0.3, 1), outburst=(0.8, 4),
           recurrence=(20, 400), duration=(5, 18), flicker=(0.04, 0.2)),
    Kind("CV", 0.35, mag=(15.5, 19.5), g_r=(-0.2, 0.6), r_i=(-0.1, 0.3), blue=(1.0, 1.15), red=(0.85, 1),
           period=(0.055, 0.3), amplitude=(0.05, 0.4), double=(1, 1), second=(0.3, 1), walk=(0.05, 0.5),
           tau=(10, 300), skew=(0.1, 0.7), flicker=(0.03, 0.2)),
    Kind("LPV", mag=(13.3, 17.5), g_r=(1.0, 2.3), r_i=(0.5, 2.0), blue=(1.05, 1.5), red=(0.6, 0.8),
           period=(80, 700), amplitude=(0.06, 3), spots=(0, 0.3), pulse=(1, 1), rise=(0.4, 0.5), sharp=(0.8, 1.3),
           slow=(0, 0.5), slow_period=(500, 3000), walk=(0.02, 0.2), tau=(20, 150)),
    Kind("DSCT|GDOR|SXPHE", 0.7, mag=(13.8, 18.3), g_r=(-0.05, 0.5), r_i=(-0.1, 0.2), blue=(1.15, 1.45),
           red=(0.65, 0.85), period=(0.03, 0.2), amplitude=(0.02, 0.40), pulse=(1, 1), rise=(0.3, 0.5),
           sharp=(1, 1.4), slow=(0, 0.8), slow_period=(2, 60)),
    Kind("DSCT|GDOR|SXPHE", 0.3, mag=(13.8, 17.5), g_r=(0.1, 0.55), r_i=(0.0, 0.25), blue=(1.1, 1.4),
           red=(0.65, 0.85), period=(0.3, 3), amplitude=(0.02, 0.15), pulse=(1, 1), rise=(0.4, 0.5),
           slow=(0.2, 1), slow_period=(5, 80)),
    Kind("RR", 0.65, mag=(14.5, 19.6), g_r=(0.0, 0.36), r_i=(-0.05, 0.15), blue=(1.35, 1.6), red=(0.72, 0.84),
           period=(0.42, 0.9), amplitude=(0.45, 1.4), pulse=(1, 1), rise=(0.11, 0.25), sharp=(1.2, 2.2),
           slow=(0, 0.3), subclass="RRab"),
    Kind("RR", 0.35, mag=(14.5, 19.6), g_r=(-0.1, 0.22), r_i=(-0.1, 0.1), blue=(1.35, 1.55), red=(0.72, 0.84),
           period=(0.2, 0.45), amplitude=(0.35, 0.7), pulse=(1, 1), rise=(0.36, 0.5), sharp=(1, 1.2),
           slow=(0, 0.2), subclass="RRc"),
    Kind("CEP", mag=(13.5, 18.8), g_r=(0.25, 1.0), r_i=(0.05, 0.4), blue=(1.3, 1.6), red=(0.7, 0.85),
           period=(1, 60), amplitude=(0.12, 0.9), pulse=(1, 1), rise=(0.2, 0.5), sharp=(1, 1.6), spots=(0, 0.3),
           slow=(0, 0.2)),
    Kind("ECL", 0.4, mag=(14, 19.3), g_r=(0.1, 1.2), r_i=(0.0, 0.5), blue=(0.95, 1.15), red=(0.9, 1.03),
           period=(0.25, 0.7), amplitude=(0.15, 0.9), eclipse=(1, 1), width=(0.10, 0.16), second=(0.75, 1),
           double=(0.1, 0.5), subclass="EW"),
    Kind("ECL", 0.25, mag=(14, 19.3), g_r=(0.0, 1.1), r_i=(0.0, 0.5), blue=(0.95, 1.2), red=(0.88, 1.02),
           period=(0.4, 3), amplitude=(0.12, 1.1), eclipse=(1, 1), width=(0.06, 0.1), second=(0.25, 0.8),
           double=(0.1, 0.5), subclass="EB"),
    Kind("ECL", 0.35, mag=(14, 19.3), g_r=(0.0, 1.2), r_i=(0.0, 0.5), blue=(0.9, 1.25), red=(0.85, 1.05),
           period=(0.8, 10), amplitude=(0.12, 1.8), eclipse=(1, 1), width=(0.015, 0.06), second=(0.05, 0.9),
           double=(0.0, 0.1), subclass="EA"),
    Kind("ELL", mag=(14, 18.5), g_r=(0.1, 1.1), r_i=(0.0, 0.45), blue=(0.96, 1.12), red=(0.9, 1.03),
           period=(0.25, 8), amplitude=(0.045, 0.30), double=(1, 1), second=(0.6, 1)),
    Kind("RS", mag=(13.8, 18.0), g_r=(0.55, 1.4), r_i=(0.15, 0.6), blue=(1.05, 1.25), red=(0.8, 0.92),
           period=(1, 30), amplitude=(0.045, 0.35), spots=(1, 1), slow=(0.3, 0.8), slow_period=(200, 2500),
           walk=(0.01, 0.05), tau=(100, 800), flare=(0.02, 0.1), flare_rate=0.002),
)  # fmt: skip

PERIODIC = ("SOLAR_LIKE", "LPV", "DSCT|GDOR|SXPHE", "RR", "CEP", "ECL", "ELL", "RS")
"""Classes whose stars have a `period`; rotation of YSO and orbits of CV and S are not given, as in surveys."""
