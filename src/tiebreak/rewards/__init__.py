"""Judges as reward functions for reinforcement learning.

`reward_function` returns what TRL's trainers call; `tiebreak.rewards.openrlhf` is the reward file for OpenRLHF.
"""

from tiebreak.rewards.judge_reward import AsyncJudgeReward, JudgeReward, Text
from tiebreak.rewards.reward_function import reward_function

__all__ = ["AsyncJudgeReward", "JudgeReward", "Text", "reward_function"]
