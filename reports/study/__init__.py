"""The findings of the CroCo study, as tests on a run decide them."""
