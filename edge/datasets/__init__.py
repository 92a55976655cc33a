"""What users bring to calibrate and to evaluate with, read and prepared in the limited child."""
