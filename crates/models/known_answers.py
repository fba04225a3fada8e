"""Figures for the tests of `meta` and `rates`, by other code than theirs: run it, and what it prints stands in the tests.

    python3 crates/models/known_answers.py        (numpy, scipy)

REML: the restricted likelihood of a mixed model with known variances within sites, from its matrices, made largest by Brent's method
over the logarithm of the variance between sites. The program finds where a formula for the slope is 0.
Rates: Fay and Feuer (1997) and Dobson et al. (1991) by quantiles of chi-squared, which the papers use; the program has those of gamma.
"""

import numpy
from scipy.optimize import minimize_scalar
from scipy.stats import chi2, norm


def reml(estimates, errors):
    """Estimate, standard error and variance between sites."""
    y, within = numpy.asarray(estimates), numpy.asarray(errors) ** 2
    x = numpy.ones((len(y), 1))

    def fit(between):
        inverse = numpy.linalg.inv(numpy.diag(within + between))
        information = x.T @ inverse @ x
        mean = numpy.linalg.solve(information, x.T @ inverse @ y)
        rest = y - x @ mean
        logdet = numpy.linalg.slogdet(numpy.diag(within + between))[1] + numpy.linalg.slogdet(information)[1]
        return mean[0], information[0, 0] ** -0.5, -0.5 * (logdet + rest @ inverse @ rest)

    found = minimize_scalar(lambda log: -fit(numpy.exp(log))[2], bounds=(-25, 15), method="bounded", options={"xatol": 1e-12})
    between = numpy.exp(found.x)
    if fit(0.0)[2] >= fit(between)[2]:
        between = 0.0
    mean, error, _ = fit(between)
    return mean, error, between


# Tuberculosis in 13 trials of BCG (Colditz et al. 1994): with it and without, ill and well.
BCG = [
    (4, 119, 11, 128), (6, 300, 29, 274), (3, 228, 11, 209), (62, 13536, 248, 12619), (33, 5036, 47, 5761), (180, 1361, 372, 1079),
    (8, 2537, 10, 619), (505, 87886, 499, 87892), (29, 7470, 45, 7232), (17, 1699, 65, 1600), (186, 50448, 141, 27197),
    (5, 2493, 3, 2338), (27, 16886, 29, 17825),
]


def log_risk_ratio(ill, well, ill_without, well_without):
    with_it, without = ill + well, ill_without + well_without
    ratio = numpy.log(ill / with_it / (ill_without / without))
    return ratio, numpy.sqrt(1 / ill - 1 / with_it + 1 / ill_without - 1 / without)


def rates(cases, people, standard, per=100_000):
    """Directly standardised, with Fay and Feuer's interval and Dobson's."""
    cases, people = numpy.asarray(cases, float), numpy.asarray(people, float)
    weights = numpy.asarray(standard, float) / sum(standard) / people
    rate, variance = (weights * cases).sum(), (weights**2 * cases).sum()
    low = variance / (2 * rate) * chi2.ppf(0.025, 2 * rate**2 / variance) if rate > 0 else 0.0
    above, wider = rate + weights.max(), variance + weights.max() ** 2
    high = wider / (2 * above) * chi2.ppf(0.975, 2 * above**2 / wider)
    total = cases.sum()
    ends = [chi2.ppf(0.025, 2 * total) / 2, chi2.ppf(0.975, 2 * (total + 1)) / 2] if total > 0 else []
    dobson = [rate + (variance / total) ** 0.5 * (end - total) for end in ends]
    return [per * number for number in [rate, low, high, *dobson]]


if __name__ == "__main__":
    # tests_meta.json has these estimates and errors (statsmodels), and no REML.
    slopes = (
        [-1.2576027913296244, -0.8009530544866015, -0.47812184195079466, -0.8208305296657064],
        [0.152218683755037, 0.12813955183880765, 0.23479225208177945, 0.25092181301347416],
    )
    ages = (
        [47.826530612244895, 54.43894389438944, 59.35, 55.31707317073171],
        [0.455594151870396, 0.5192575899440592, 0.552370405911317, 0.8143977195640827],
    )
    odds = (
        [0.04410975042439583, 0.05198620959935471, 0.055882650028590206, 0.008997385781704576],
        [0.016332079604324864, 0.013668777851375546, 0.021310978564831416, 0.03999602779682316],
    )
    trials = tuple(zip(*(log_risk_ratio(*trial) for trial in BCG)))
    for name, sites in [("slopes", slopes), ("ages", ages), ("odds", odds), ("BCG", trials)]:
        print("REML", name, *(repr(float(number)) for number in reml(*sites)))
    downs = ([107, 141, 60, 40, 39, 25], [230061, 329449, 114920, 39487, 14208, 3052], [319933, 931318, 786511, 488235, 237863, 61313])
    # Few cases, none in some groups: the European standard of 2013 from 0 to 20, to 40, to 60, to 80, and above.
    few = ([0, 1, 0, 7, 4], [1200, 2500, 2300, 1400, 260], [21500, 25500, 27500, 20500, 5000])
    none = ([0, 0], [1000, 400], [60, 40])
    for name, of in [("Down", downs), ("few", few), ("none", none)]:
        print("rates", name, *(repr(float(number)) for number in rates(*of)))
    print("normal", repr(float(norm.ppf(0.975))))
