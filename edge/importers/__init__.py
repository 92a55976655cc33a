"""Estimators of scikit-learn, XGBoost and LightGBM to ONNX, in a limited child.

A pickle is code that runs when it is read. Nothing here unpickles a file of which the user did not
say that it can be trusted; what a pickle names is listed by a machine that makes nothing of it.
"""
