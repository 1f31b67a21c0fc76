"""Operations on finished runs: evaluate, calibrate, blend, soup."""
