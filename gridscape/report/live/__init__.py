"""The page of a study, served while it trains: it reads results folders, and trains nothing.

``folder`` follows a results folder and reads only what is new; ``shown`` keeps the document of its
page and what changed in it since when; ``study`` puts both together with how far the run is.
``guard`` refuses what does not come from the page's own address; ``server`` serves.
"""
