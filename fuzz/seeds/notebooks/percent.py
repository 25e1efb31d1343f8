# ---
# jupyter: x
# ---

# %% [markdown] title a="b" c={"d": 1}
# # T
# ```
# %% x
# ```

# %% tags=["see"]
# %matplotlib inline
x = """
# %% no
"""
# %% [raw]
"""
raw
"""
