"""A judge as the reward function of a policy in training, in the shapes that RL's libraries call.

`reward_function` makes what TRL's trainers take; `tiebreak.rewards.openrlhf` is the file to name to OpenRLHF.
"""

from tiebreak.rewards.loading import reward_function
from tiebreak.rewards.reward_function import AsyncJudgeReward, JudgeReward, Text

__all__ = ["AsyncJudgeReward", "JudgeReward", "Text", "reward_function"]
