"""Lark's tables of the grammar. Made by docs/tables/grammar.py; not to be edited.

They are used where grammar and Lark are those that they were made of (`parse.py`).
"""

# fmt: off
from typing import Any

DIGEST = "db33815dbc7198c806e0aaa5260a02273724bd5bd4803cc462ffc6fe54d8b2be"
LARK = "1.3.1"
DATA: dict[Any, Any] = (
{'parser': {'lexer_conf': {'terminals': [{'@': 0}, {'@': 1}, {'@': 2}, {'@': 3}, {'@': 4}, {'@':
5}, {'@': 6}, {'@': 7}, {'@': 8}, {'@': 9}, {'@': 10}, {'@': 11}, {'@': 12}, {'@': 13}, {'@': 14},
{'@': 15}, {'@': 16}, {'@': 17}, {'@': 18}, {'@': 19}, {'@': 20}, {'@': 21}, {'@': 22}, {'@': 23},
{'@': 24}, {'@': 25}, {'@': 26}, {'@': 27}], 'ignore': ['WHITESPACE'], 'g_regex_flags': 0,
'use_bytes': False, 'lexer_type': 'contextual', '__type__': 'LexerConf'}, 'parser_conf': {'rules':
[{'@': 28}, {'@': 29}, {'@': 30}, {'@': 31}, {'@': 32}, {'@': 33}, {'@': 34}, {'@': 35}, {'@':
36}, {'@': 37}, {'@': 38}, {'@': 39}, {'@': 40}, {'@': 41}, {'@': 42}, {'@': 43}, {'@': 44}, {'@':
45}, {'@': 46}, {'@': 47}, {'@': 48}, {'@': 49}, {'@': 50}, {'@': 51}, {'@': 52}, {'@': 53}, {'@':
54}, {'@': 55}, {'@': 56}, {'@': 57}, {'@': 58}, {'@': 59}, {'@': 60}, {'@': 61}, {'@': 62}, {'@':
63}, {'@': 64}, {'@': 65}, {'@': 66}, {'@': 67}, {'@': 68}, {'@': 69}, {'@': 70}, {'@': 71}, {'@':
72}, {'@': 73}, {'@': 74}, {'@': 75}, {'@': 76}, {'@': 77}, {'@': 78}, {'@': 79}, {'@': 80}],
'start': ['start', 'condition'], 'parser_type': 'lalr', '__type__': 'ParserConf'}, 'parser':
{'tokens': {0: '$END', 1: 'RPAR', 2: 'COMMA', 3: 'CLOSE', 4: 'ELSE', 5: 'product', 6: 'atom', 7:
'argument', 8: 'NAME', 9: 'sum', 10: 'PLUS', 11: 'LPAR', 12: 'unary', 13: 'subject', 14: 'power',
15: 'call', 16: 'IF', 17: 'expression', 18: 'NUMBER', 19: 'MINUS', 20: 'name', 21: 'OR', 22:
'THEN', 23: 'AND', 24: 'SUM_OPERATOR', 25: 'PRODUCT_OPERATOR', 26: '_POWER_OPERATOR', 27: 'LSQB',
28: 'IN', 29: 'COMPARATOR', 30: 'EQUAL', 31: 'PATH', 32: 'bound', 33: 'SIGN', 34: 'INF', 35:
'NOT', 36: 'comparison', 37: 'inverse', 38: 'RSQB', 39: '__product_star_3', 40: 'interval', 41:
'OPEN', 42: 'conjunction', 43: 'condition', 44: '__condition_plus_0', 45: 'head', 46: 'IMPORT',
47: 'start', 48: '__conjunction_plus_1', 49: '__sum_star_2', 50: '__call_star_4'}, 'states': {0:
{0: (1, {'@': 29})}, 1: {1: (1, {'@': 65}), 2: (1, {'@': 65})}, 2: {2: (1, {'@': 70}), 3: (1,
{'@': 70})}, 3: {4: (0, 54)}, 4: {5: (0, 78), 6: (0, 22), 7: (0, 58), 8: (0, 28), 9: (0, 29), 10:
(0, 27), 11: (0, 10), 12: (0, 19), 13: (0, 42), 14: (0, 83), 15: (0, 85), 16: (0, 34), 17: (0,
18), 18: (0, 79), 19: (0, 99), 20: (0, 49)}, 5: {1: (0, 63), 2: (0, 4)}, 6: {1: (0, 21)}, 7: {21:
(1, {'@': 72}), 22: (1, {'@': 72}), 0: (1, {'@': 72}), 1: (1, {'@': 72})}, 8: {21: (1, {'@': 40}),
22: (1, {'@': 40}), 23: (1, {'@': 40}), 0: (1, {'@': 40}), 1: (1, {'@': 40})}, 9: {24: (1, {'@':
60}), 2: (1, {'@': 60}), 25: (1, {'@': 60}), 26: (1, {'@': 60}), 27: (1, {'@': 60}), 1: (1, {'@':
60}), 28: (1, {'@': 60}), 4: (1, {'@': 60}), 29: (1, {'@': 60}), 21: (1, {'@': 60}), 22: (1, {'@':
60}), 0: (1, {'@': 60}), 23: (1, {'@': 60}), 30: (1, {'@': 60})}, 10: {5: (0, 78), 6: (0, 22), 8:
(0, 91), 9: (0, 29), 10: (0, 27), 11: (0, 10), 12: (0, 19), 13: (0, 42), 14: (0, 83), 15: (0, 85),
16: (0, 34), 18: (0, 79), 19: (0, 99), 17: (0, 88), 20: (0, 49)}, 11: {12: (0, 19), 13: (0, 42),
6: (0, 22), 14: (0, 83), 18: (0, 79), 15: (0, 85), 8: (0, 91), 19: (0, 99), 20: (0, 49), 5: (0,
89), 10: (0, 27), 11: (0, 10)}, 12: {21: (0, 93), 22: (1, {'@': 36}), 0: (1, {'@': 36}), 1: (1,
{'@': 36})}, 13: {31: (0, 0)}, 14: {32: (0, 50), 33: (0, 44), 34: (0, 2), 18: (0, 77)}, 15: {11:
(0, 92), 5: (0, 78), 6: (0, 22), 8: (0, 91), 10: (0, 27), 12: (0, 19), 13: (0, 42), 14: (0, 83),
15: (0, 85), 35: (0, 56), 36: (0, 59), 18: (0, 79), 19: (0, 99), 9: (0, 80), 37: (0, 47), 20: (0,
49)}, 16: {38: (0, 31)}, 17: {11: (0, 92), 5: (0, 78), 6: (0, 22), 8: (0, 91), 10: (0, 27), 37:
(0, 39), 12: (0, 19), 13: (0, 42), 14: (0, 83), 15: (0, 85), 35: (0, 56), 36: (0, 59), 18: (0,
79), 19: (0, 99), 9: (0, 80), 20: (0, 49)}, 18: {1: (1, {'@': 62}), 2: (1, {'@': 62})}, 19: {25:
(0, 51), 39: (0, 86), 24: (1, {'@': 46}), 1: (1, {'@': 46}), 2: (1, {'@': 46}), 28: (1, {'@':
46}), 4: (1, {'@': 46}), 21: (1, {'@': 46}), 22: (1, {'@': 46}), 0: (1, {'@': 46}), 23: (1, {'@':
46}), 29: (1, {'@': 46})}, 20: {5: (0, 78), 6: (0, 22), 8: (0, 91), 10: (0, 27), 9: (0, 95), 11:
(0, 10), 12: (0, 19), 13: (0, 42), 14: (0, 83), 15: (0, 85), 18: (0, 79), 19: (0, 99), 20: (0,
49)}, 21: {21: (1, {'@': 42}), 22: (1, {'@': 42}), 23: (1, {'@': 42}), 0: (1, {'@': 42}), 1: (1,
{'@': 42})}, 22: {26: (0, 52), 25: (1, {'@': 50}), 24: (1, {'@': 50}), 1: (1, {'@': 50}), 2: (1,
{'@': 50}), 28: (1, {'@': 50}), 4: (1, {'@': 50}), 21: (1, {'@': 50}), 22: (1, {'@': 50}), 0: (1,
{'@': 50}), 23: (1, {'@': 50}), 29: (1, {'@': 50})}, 23: {8: (0, 16)}, 24: {30: (0, 76)}, 25: {40:
(0, 66), 41: (0, 14)}, 26: {12: (0, 19), 13: (0, 42), 6: (0, 22), 14: (0, 83), 18: (0, 79), 15:
(0, 85), 8: (0, 91), 19: (0, 99), 20: (0, 49), 10: (0, 27), 5: (0, 98), 11: (0, 10)}, 27: {13: (0,
42), 6: (0, 22), 14: (0, 83), 18: (0, 79), 15: (0, 85), 8: (0, 91), 19: (0, 99), 20: (0, 49), 12:
(0, 73), 10: (0, 27), 11: (0, 10)}, 28: {11: (0, 53), 30: (0, 61), 28: (0, 69), 24: (1, {'@':
58}), 2: (1, {'@': 58}), 25: (1, {'@': 58}), 26: (1, {'@': 58}), 27: (1, {'@': 58}), 1: (1, {'@':
58})}, 29: {1: (1, {'@': 33}), 2: (1, {'@': 33}), 28: (1, {'@': 33}), 0: (1, {'@': 33}), 4: (1,
{'@': 33})}, 30: {21: (1, {'@': 71}), 22: (1, {'@': 71}), 0: (1, {'@': 71}), 1: (1, {'@': 71})},
31: {24: (1, {'@': 57}), 2: (1, {'@': 57}), 25: (1, {'@': 57}), 26: (1, {'@': 57}), 27: (1, {'@':
57}), 1: (1, {'@': 57}), 28: (1, {'@': 57}), 4: (1, {'@': 57}), 29: (1, {'@': 57}), 21: (1, {'@':
57}), 22: (1, {'@': 57}), 0: (1, {'@': 57}), 23: (1, {'@': 57})}, 32: {30: (1, {'@': 32}), 0: (1,
{'@': 56}), 24: (1, {'@': 56}), 25: (1, {'@': 56}), 26: (1, {'@': 56}), 27: (1, {'@': 56})}, 33:
{}, 34: {11: (0, 92), 5: (0, 78), 6: (0, 22), 42: (0, 43), 8: (0, 91), 10: (0, 27), 43: (0, 35),
12: (0, 19), 13: (0, 42), 14: (0, 83), 15: (0, 85), 35: (0, 56), 37: (0, 64), 36: (0, 59), 18: (0,
79), 19: (0, 99), 9: (0, 80), 20: (0, 49)}, 35: {22: (0, 65)}, 36: {11: (0, 92), 5: (0, 78), 6:
(0, 22), 43: (0, 74), 42: (0, 43), 8: (0, 91), 10: (0, 27), 12: (0, 19), 13: (0, 42), 14: (0, 83),
15: (0, 85), 35: (0, 56), 37: (0, 64), 36: (0, 59), 18: (0, 79), 19: (0, 99), 9: (0, 80), 20: (0,
49)}, 37: {30: (1, {'@': 31}), 0: (1, {'@': 55}), 24: (1, {'@': 55}), 25: (1, {'@': 55}), 26: (1,
{'@': 55}), 27: (1, {'@': 55})}, 38: {21: (1, {'@': 78}), 22: (1, {'@': 78}), 0: (1, {'@': 78}),
23: (1, {'@': 78}), 2: (1, {'@': 78}), 25: (1, {'@': 78}), 1: (1, {'@': 78}), 28: (1, {'@': 78}),
4: (1, {'@': 78}), 24: (1, {'@': 78}), 29: (1, {'@': 78})}, 39: {21: (1, {'@': 74}), 22: (1, {'@':
74}), 23: (1, {'@': 74}), 0: (1, {'@': 74}), 1: (1, {'@': 74})}, 40: {2: (1, {'@': 67}), 3: (1,
{'@': 67})}, 41: {24: (1, {'@': 61}), 2: (1, {'@': 61}), 25: (1, {'@': 61}), 26: (1, {'@': 61}),
27: (1, {'@': 61}), 1: (1, {'@': 61}), 28: (1, {'@': 61}), 4: (1, {'@': 61}), 29: (1, {'@': 61}),
21: (1, {'@': 61}), 22: (1, {'@': 61}), 0: (1, {'@': 61}), 23: (1, {'@': 61}), 30: (1, {'@':
61})}, 42: {27: (0, 23), 24: (1, {'@': 53}), 2: (1, {'@': 53}), 25: (1, {'@': 53}), 26: (1, {'@':
53}), 1: (1, {'@': 53}), 28: (1, {'@': 53}), 4: (1, {'@': 53}), 21: (1, {'@': 53}), 22: (1, {'@':
53}), 0: (1, {'@': 53}), 23: (1, {'@': 53}), 29: (1, {'@': 53})}, 43: {44: (0, 12), 21: (0, 87),
22: (1, {'@': 35}), 0: (1, {'@': 35}), 1: (1, {'@': 35})}, 44: {34: (0, 72), 18: (0, 40)}, 45:
{13: (0, 42), 6: (0, 22), 14: (0, 83), 18: (0, 79), 15: (0, 85), 8: (0, 91), 19: (0, 99), 20: (0,
49), 12: (0, 38), 10: (0, 27), 11: (0, 10)}, 46: {28: (0, 25), 1: (1, {'@': 63}), 2: (1, {'@':
63})}, 47: {21: (1, {'@': 73}), 22: (1, {'@': 73}), 23: (1, {'@': 73}), 0: (1, {'@': 73}), 1: (1,
{'@': 73})}, 48: {5: (0, 78), 6: (0, 22), 8: (0, 28), 9: (0, 29), 10: (0, 27), 7: (0, 75), 11: (0,
10), 12: (0, 19), 13: (0, 42), 14: (0, 83), 15: (0, 85), 16: (0, 34), 17: (0, 18), 18: (0, 79),
19: (0, 99), 20: (0, 49)}, 49: {24: (1, {'@': 55}), 2: (1, {'@': 55}), 25: (1, {'@': 55}), 26: (1,
{'@': 55}), 27: (1, {'@': 55}), 1: (1, {'@': 55}), 28: (1, {'@': 55}), 4: (1, {'@': 55}), 29: (1,
{'@': 55}), 21: (1, {'@': 55}), 22: (1, {'@': 55}), 0: (1, {'@': 55}), 23: (1, {'@': 55})}, 50:
{2: (0, 90)}, 51: {13: (0, 42), 6: (0, 22), 14: (0, 83), 18: (0, 79), 15: (0, 85), 8: (0, 91), 19:
(0, 99), 20: (0, 49), 10: (0, 27), 12: (0, 97), 11: (0, 10)}, 52: {13: (0, 42), 6: (0, 22), 14:
(0, 83), 18: (0, 79), 15: (0, 85), 8: (0, 91), 19: (0, 99), 20: (0, 49), 12: (0, 57), 10: (0, 27),
11: (0, 10)}, 53: {5: (0, 78), 6: (0, 22), 8: (0, 28), 7: (0, 81), 9: (0, 29), 10: (0, 27), 1: (0,
41), 11: (0, 10), 12: (0, 19), 13: (0, 42), 14: (0, 83), 15: (0, 85), 16: (0, 34), 17: (0, 18),
18: (0, 79), 19: (0, 99), 20: (0, 49)}, 54: {5: (0, 78), 6: (0, 22), 8: (0, 91), 9: (0, 29), 10:
(0, 27), 11: (0, 10), 12: (0, 19), 13: (0, 42), 14: (0, 83), 15: (0, 85), 16: (0, 34), 18: (0,
79), 19: (0, 99), 17: (0, 67), 20: (0, 49)}, 55: {3: (0, 71)}, 56: {11: (0, 92), 5: (0, 78), 6:
(0, 22), 8: (0, 91), 10: (0, 27), 37: (0, 8), 12: (0, 19), 13: (0, 42), 14: (0, 83), 15: (0, 85),
35: (0, 56), 36: (0, 59), 18: (0, 79), 19: (0, 99), 9: (0, 80), 20: (0, 49)}, 57: {25: (1, {'@':
51}), 24: (1, {'@': 51}), 1: (1, {'@': 51}), 2: (1, {'@': 51}), 28: (1, {'@': 51}), 4: (1, {'@':
51}), 21: (1, {'@': 51}), 22: (1, {'@': 51}), 0: (1, {'@': 51}), 23: (1, {'@': 51}), 29: (1, {'@':
51})}, 58: {1: (1, {'@': 80}), 2: (1, {'@': 80})}, 59: {21: (1, {'@': 39}), 22: (1, {'@': 39}),
23: (1, {'@': 39}), 0: (1, {'@': 39}), 1: (1, {'@': 39})}, 60: {25: (1, {'@': 47}), 24: (1, {'@':
47}), 1: (1, {'@': 47}), 2: (1, {'@': 47}), 28: (1, {'@': 47}), 4: (1, {'@': 47}), 21: (1, {'@':
47}), 22: (1, {'@': 47}), 0: (1, {'@': 47}), 23: (1, {'@': 47}), 29: (1, {'@': 47})}, 61: {5: (0,
78), 6: (0, 22), 8: (0, 91), 9: (0, 29), 10: (0, 27), 11: (0, 10), 12: (0, 19), 13: (0, 42), 14:
(0, 83), 15: (0, 85), 16: (0, 34), 17: (0, 46), 18: (0, 79), 19: (0, 99), 20: (0, 49)}, 62: {5:
(0, 78), 15: (0, 32), 45: (0, 24), 6: (0, 22), 8: (0, 91), 9: (0, 29), 10: (0, 27), 11: (0, 10),
46: (0, 13), 12: (0, 19), 13: (0, 42), 47: (0, 33), 14: (0, 83), 16: (0, 34), 20: (0, 37), 18: (0,
79), 19: (0, 99), 17: (0, 96)}, 63: {24: (1, {'@': 59}), 2: (1, {'@': 59}), 25: (1, {'@': 59}),
26: (1, {'@': 59}), 27: (1, {'@': 59}), 1: (1, {'@': 59}), 28: (1, {'@': 59}), 4: (1, {'@': 59}),
29: (1, {'@': 59}), 21: (1, {'@': 59}), 22: (1, {'@': 59}), 0: (1, {'@': 59}), 23: (1, {'@': 59}),
30: (1, {'@': 59})}, 64: {23: (0, 15), 48: (0, 70), 21: (1, {'@': 37}), 22: (1, {'@': 37}), 0: (1,
{'@': 37}), 1: (1, {'@': 37})}, 65: {5: (0, 78), 6: (0, 22), 8: (0, 91), 9: (0, 29), 10: (0, 27),
11: (0, 10), 12: (0, 19), 13: (0, 42), 14: (0, 83), 15: (0, 85), 17: (0, 3), 16: (0, 34), 18: (0,
79), 19: (0, 99), 20: (0, 49)}, 66: {1: (1, {'@': 64}), 2: (1, {'@': 64})}, 67: {1: (1, {'@':
34}), 2: (1, {'@': 34}), 28: (1, {'@': 34}), 0: (1, {'@': 34}), 4: (1, {'@': 34})}, 68: {29: (0,
20), 1: (1, {'@': 33})}, 69: {41: (0, 14), 40: (0, 1)}, 70: {23: (0, 17), 21: (1, {'@': 38}), 22:
(1, {'@': 38}), 0: (1, {'@': 38}), 1: (1, {'@': 38})}, 71: {1: (1, {'@': 66}), 2: (1, {'@': 66})},
72: {2: (1, {'@': 68}), 3: (1, {'@': 68})}, 73: {25: (1, {'@': 48}), 24: (1, {'@': 48}), 1: (1,
{'@': 48}), 2: (1, {'@': 48}), 28: (1, {'@': 48}), 4: (1, {'@': 48}), 21: (1, {'@': 48}), 22: (1,
{'@': 48}), 0: (1, {'@': 48}), 23: (1, {'@': 48}), 29: (1, {'@': 48})}, 74: {}, 75: {1: (1, {'@':
79}), 2: (1, {'@': 79})}, 76: {5: (0, 78), 6: (0, 22), 8: (0, 91), 9: (0, 29), 10: (0, 27), 11:
(0, 10), 17: (0, 84), 12: (0, 19), 13: (0, 42), 14: (0, 83), 15: (0, 85), 16: (0, 34), 18: (0,
79), 19: (0, 99), 20: (0, 49)}, 77: {2: (1, {'@': 69}), 3: (1, {'@': 69})}, 78: {24: (0, 11), 49:
(0, 94), 1: (1, {'@': 44}), 2: (1, {'@': 44}), 29: (1, {'@': 44}), 21: (1, {'@': 44}), 22: (1,
{'@': 44}), 0: (1, {'@': 44}), 23: (1, {'@': 44}), 28: (1, {'@': 44}), 4: (1, {'@': 44})}, 79:
{24: (1, {'@': 52}), 2: (1, {'@': 52}), 25: (1, {'@': 52}), 26: (1, {'@': 52}), 1: (1, {'@': 52}),
28: (1, {'@': 52}), 4: (1, {'@': 52}), 21: (1, {'@': 52}), 22: (1, {'@': 52}), 0: (1, {'@': 52}),
23: (1, {'@': 52}), 29: (1, {'@': 52})}, 80: {29: (0, 20)}, 81: {50: (0, 5), 2: (0, 48), 1: (0,
9)}, 82: {24: (1, {'@': 54}), 2: (1, {'@': 54}), 25: (1, {'@': 54}), 26: (1, {'@': 54}), 1: (1,
{'@': 54}), 28: (1, {'@': 54}), 4: (1, {'@': 54}), 21: (1, {'@': 54}), 22: (1, {'@': 54}), 0: (1,
{'@': 54}), 23: (1, {'@': 54}), 29: (1, {'@': 54})}, 83: {25: (1, {'@': 49}), 24: (1, {'@': 49}),
1: (1, {'@': 49}), 2: (1, {'@': 49}), 28: (1, {'@': 49}), 4: (1, {'@': 49}), 21: (1, {'@': 49}),
22: (1, {'@': 49}), 0: (1, {'@': 49}), 23: (1, {'@': 49}), 29: (1, {'@': 49})}, 84: {0: (1, {'@':
30})}, 85: {24: (1, {'@': 56}), 2: (1, {'@': 56}), 25: (1, {'@': 56}), 26: (1, {'@': 56}), 27: (1,
{'@': 56}), 1: (1, {'@': 56}), 28: (1, {'@': 56}), 4: (1, {'@': 56}), 29: (1, {'@': 56}), 21: (1,
{'@': 56}), 22: (1, {'@': 56}), 0: (1, {'@': 56}), 23: (1, {'@': 56})}, 86: {25: (0, 45), 24: (1,
{'@': 45}), 1: (1, {'@': 45}), 2: (1, {'@': 45}), 28: (1, {'@': 45}), 4: (1, {'@': 45}), 21: (1,
{'@': 45}), 22: (1, {'@': 45}), 0: (1, {'@': 45}), 23: (1, {'@': 45}), 29: (1, {'@': 45})}, 87:
{11: (0, 92), 5: (0, 78), 6: (0, 22), 8: (0, 91), 10: (0, 27), 42: (0, 30), 12: (0, 19), 13: (0,
42), 14: (0, 83), 15: (0, 85), 35: (0, 56), 37: (0, 64), 36: (0, 59), 18: (0, 79), 19: (0, 99), 9:
(0, 80), 20: (0, 49)}, 88: {1: (0, 82)}, 89: {28: (1, {'@': 75}), 4: (1, {'@': 75}), 1: (1, {'@':
75}), 21: (1, {'@': 75}), 22: (1, {'@': 75}), 0: (1, {'@': 75}), 24: (1, {'@': 75}), 23: (1, {'@':
75}), 2: (1, {'@': 75}), 29: (1, {'@': 75})}, 90: {33: (0, 44), 34: (0, 2), 32: (0, 55), 18: (0,
77)}, 91: {11: (0, 53), 24: (1, {'@': 58}), 25: (1, {'@': 58}), 26: (1, {'@': 58}), 27: (1, {'@':
58}), 1: (1, {'@': 58}), 28: (1, {'@': 58}), 4: (1, {'@': 58}), 29: (1, {'@': 58}), 21: (1, {'@':
58}), 22: (1, {'@': 58}), 0: (1, {'@': 58}), 23: (1, {'@': 58}), 2: (1, {'@': 58}), 30: (1, {'@':
58})}, 92: {5: (0, 78), 11: (0, 92), 6: (0, 22), 8: (0, 91), 42: (0, 43), 9: (0, 68), 10: (0, 27),
12: (0, 19), 13: (0, 42), 14: (0, 83), 15: (0, 85), 35: (0, 56), 16: (0, 34), 43: (0, 6), 37: (0,
64), 36: (0, 59), 18: (0, 79), 19: (0, 99), 17: (0, 88), 20: (0, 49)}, 93: {11: (0, 92), 5: (0,
78), 6: (0, 22), 8: (0, 91), 10: (0, 27), 12: (0, 19), 13: (0, 42), 14: (0, 83), 15: (0, 85), 35:
(0, 56), 37: (0, 64), 36: (0, 59), 42: (0, 7), 18: (0, 79), 19: (0, 99), 9: (0, 80), 20: (0, 49)},
94: {24: (0, 26), 1: (1, {'@': 43}), 2: (1, {'@': 43}), 29: (1, {'@': 43}), 21: (1, {'@': 43}),
22: (1, {'@': 43}), 0: (1, {'@': 43}), 23: (1, {'@': 43}), 28: (1, {'@': 43}), 4: (1, {'@': 43})},
95: {21: (1, {'@': 41}), 22: (1, {'@': 41}), 23: (1, {'@': 41}), 0: (1, {'@': 41}), 1: (1, {'@':
41})}, 96: {0: (1, {'@': 28})}, 97: {21: (1, {'@': 77}), 22: (1, {'@': 77}), 0: (1, {'@': 77}),
23: (1, {'@': 77}), 2: (1, {'@': 77}), 25: (1, {'@': 77}), 1: (1, {'@': 77}), 28: (1, {'@': 77}),
4: (1, {'@': 77}), 24: (1, {'@': 77}), 29: (1, {'@': 77})}, 98: {28: (1, {'@': 76}), 4: (1, {'@':
76}), 1: (1, {'@': 76}), 21: (1, {'@': 76}), 22: (1, {'@': 76}), 0: (1, {'@': 76}), 24: (1, {'@':
76}), 23: (1, {'@': 76}), 2: (1, {'@': 76}), 29: (1, {'@': 76})}, 99: {13: (0, 42), 6: (0, 22),
14: (0, 83), 18: (0, 79), 15: (0, 85), 8: (0, 91), 19: (0, 99), 20: (0, 49), 10: (0, 27), 12: (0,
60), 11: (0, 10)}}, 'start_states': {'start': 62, 'condition': 36}, 'end_states': {'start': 33,
'condition': 74}}, '__type__': 'ParsingFrontend'}, 'rules': [{'@': 28}, {'@': 29}, {'@': 30},
{'@': 31}, {'@': 32}, {'@': 33}, {'@': 34}, {'@': 35}, {'@': 36}, {'@': 37}, {'@': 38}, {'@': 39},
{'@': 40}, {'@': 41}, {'@': 42}, {'@': 43}, {'@': 44}, {'@': 45}, {'@': 46}, {'@': 47}, {'@': 48},
{'@': 49}, {'@': 50}, {'@': 51}, {'@': 52}, {'@': 53}, {'@': 54}, {'@': 55}, {'@': 56}, {'@': 57},
{'@': 58}, {'@': 59}, {'@': 60}, {'@': 61}, {'@': 62}, {'@': 63}, {'@': 64}, {'@': 65}, {'@': 66},
{'@': 67}, {'@': 68}, {'@': 69}, {'@': 70}, {'@': 71}, {'@': 72}, {'@': 73}, {'@': 74}, {'@': 75},
{'@': 76}, {'@': 77}, {'@': 78}, {'@': 79}, {'@': 80}], 'options': {'debug': False, 'strict':
False, 'keep_all_tokens': False, 'tree_class': None, 'cache': False, 'cache_grammar': False,
'postlex': None, 'parser': 'lalr', 'lexer': 'contextual', 'transformer': None, 'start': ['start',
'condition'], 'priority': 'normal', 'ambiguity': 'auto', 'regex': False, 'propagate_positions':
True, 'lexer_callbacks': {}, 'maybe_placeholders': False, 'edit_terminals': None, 'g_regex_flags':
0, 'use_bytes': False, 'ordered_sets': True, 'import_paths': [], 'source_path': None, '_plugins':
{}}, '__type__': 'Lark'}
)
MEMO: dict[Any, Any] = (
{0: {'name': 'COMPARATOR', 'pattern': {'value': '(?:<=|>=|==|!=|<|>)', 'flags': [], 'raw': None,
'_width': [1, 2], '__type__': 'PatternRE'}, 'priority': 0, '__type__': 'TerminalDef'}, 1: {'name':
'SUM_OPERATOR', 'pattern': {'value': '(?:\\+|\\-)', 'flags': [], 'raw': None, '_width': [1, 1],
'__type__': 'PatternRE'}, 'priority': 0, '__type__': 'TerminalDef'}, 2: {'name':
'PRODUCT_OPERATOR', 'pattern': {'value': '(?:\\*|/)', 'flags': [], 'raw': None, '_width': [1, 1],
'__type__': 'PatternRE'}, 'priority': 0, '__type__': 'TerminalDef'}, 3: {'name':
'_POWER_OPERATOR', 'pattern': {'value': '(?:\\*\\*|\\^)', 'flags': [], 'raw': None, '_width': [1,
2], '__type__': 'PatternRE'}, 'priority': 0, '__type__': 'TerminalDef'}, 4: {'name': 'SIGN',
'pattern': {'value': '(?:\\+|\\-)', 'flags': [], 'raw': None, '_width': [1, 1], '__type__':
'PatternRE'}, 'priority': 0, '__type__': 'TerminalDef'}, 5: {'name': 'OPEN', 'pattern': {'value':
'(?:\\(|\\[)', 'flags': [], 'raw': None, '_width': [1, 1], '__type__': 'PatternRE'}, 'priority':
0, '__type__': 'TerminalDef'}, 6: {'name': 'CLOSE', 'pattern': {'value': '(?:\\)|\\])', 'flags':
[], 'raw': None, '_width': [1, 1], '__type__': 'PatternRE'}, 'priority': 0, '__type__':
'TerminalDef'}, 7: {'name': 'INF', 'pattern': {'value': 'inf', 'flags': [], 'raw': '"inf"',
'__type__': 'PatternStr'}, 'priority': 0, '__type__': 'TerminalDef'}, 8: {'name': 'PATH',
'pattern': {'value': '"[^"#;\n]*"', 'flags': [], 'raw': '/"[^"#;\\n]*"/', '_width': [2,
18446744073709551616], '__type__': 'PatternRE'}, 'priority': 0, '__type__': 'TerminalDef'}, 9:
{'name': 'NAME', 'pattern': {'value': '[A-Za-z][A-Za-z0-9_]*', 'flags': [], 'raw':
'/[A-Za-z][A-Za-z0-9_]*/', '_width': [1, 18446744073709551616], '__type__': 'PatternRE'},
'priority': 0, '__type__': 'TerminalDef'}, 10: {'name': 'NUMBER', 'pattern': {'value':
'([0-9]+(\\.[0-9]*)?|\\.[0-9]+)([eE][+-]?[0-9]+)?', 'flags': [], 'raw':
'/([0-9]+(\\.[0-9]*)?|\\.[0-9]+)([eE][+-]?[0-9]+)?/', '_width': [1, 18446744073709551616],
'__type__': 'PatternRE'}, 'priority': 0, '__type__': 'TerminalDef'}, 11: {'name': 'WHITESPACE',
'pattern': {'value': '[ \t\r\n]+', 'flags': [], 'raw': '/[ \\t\\r\\n]+/', '_width': [1,
18446744073709551616], '__type__': 'PatternRE'}, 'priority': 0, '__type__': 'TerminalDef'}, 12:
{'name': 'IMPORT', 'pattern': {'value': 'import', 'flags': [], 'raw': '"import"', '__type__':
'PatternStr'}, 'priority': 0, '__type__': 'TerminalDef'}, 13: {'name': 'EQUAL', 'pattern':
{'value': '=', 'flags': [], 'raw': '"="', '__type__': 'PatternStr'}, 'priority': 0, '__type__':
'TerminalDef'}, 14: {'name': 'IF', 'pattern': {'value': 'if', 'flags': [], 'raw': '"if"',
'__type__': 'PatternStr'}, 'priority': 0, '__type__': 'TerminalDef'}, 15: {'name': 'THEN',
'pattern': {'value': 'then', 'flags': [], 'raw': '"then"', '__type__': 'PatternStr'}, 'priority':
0, '__type__': 'TerminalDef'}, 16: {'name': 'ELSE', 'pattern': {'value': 'else', 'flags': [],
'raw': '"else"', '__type__': 'PatternStr'}, 'priority': 0, '__type__': 'TerminalDef'}, 17:
{'name': 'OR', 'pattern': {'value': 'or', 'flags': [], 'raw': '"or"', '__type__': 'PatternStr'},
'priority': 0, '__type__': 'TerminalDef'}, 18: {'name': 'AND', 'pattern': {'value': 'and',
'flags': [], 'raw': '"and"', '__type__': 'PatternStr'}, 'priority': 0, '__type__': 'TerminalDef'},
19: {'name': 'NOT', 'pattern': {'value': 'not', 'flags': [], 'raw': '"not"', '__type__':
'PatternStr'}, 'priority': 0, '__type__': 'TerminalDef'}, 20: {'name': 'LPAR', 'pattern':
{'value': '(', 'flags': [], 'raw': '"("', '__type__': 'PatternStr'}, 'priority': 0, '__type__':
'TerminalDef'}, 21: {'name': 'RPAR', 'pattern': {'value': ')', 'flags': [], 'raw': '")"',
'__type__': 'PatternStr'}, 'priority': 0, '__type__': 'TerminalDef'}, 22: {'name': 'MINUS',
'pattern': {'value': '-', 'flags': [], 'raw': '"-"', '__type__': 'PatternStr'}, 'priority': 0,
'__type__': 'TerminalDef'}, 23: {'name': 'PLUS', 'pattern': {'value': '+', 'flags': [], 'raw':
'"+"', '__type__': 'PatternStr'}, 'priority': 0, '__type__': 'TerminalDef'}, 24: {'name': 'LSQB',
'pattern': {'value': '[', 'flags': [], 'raw': '"["', '__type__': 'PatternStr'}, 'priority': 0,
'__type__': 'TerminalDef'}, 25: {'name': 'RSQB', 'pattern': {'value': ']', 'flags': [], 'raw':
'"]"', '__type__': 'PatternStr'}, 'priority': 0, '__type__': 'TerminalDef'}, 26: {'name': 'COMMA',
'pattern': {'value': ',', 'flags': [], 'raw': '","', '__type__': 'PatternStr'}, 'priority': 0,
'__type__': 'TerminalDef'}, 27: {'name': 'IN', 'pattern': {'value': 'in', 'flags': [], 'raw':
'"in"', '__type__': 'PatternStr'}, 'priority': 0, '__type__': 'TerminalDef'}, 28: {'origin':
{'name': 'start', '__type__': 'NonTerminal'}, 'expansion': [{'name': 'expression', '__type__':
'NonTerminal'}], 'order': 0, 'alias': None, 'options': {'keep_all_tokens': False, 'expand1': True,
'priority': None, 'template_source': None, 'empty_indices': (), '__type__': 'RuleOptions'},
'__type__': 'Rule'}, 29: {'origin': {'name': 'start', '__type__': 'NonTerminal'}, 'expansion':
[{'name': 'IMPORT', 'filter_out': True, '__type__': 'Terminal'}, {'name': 'PATH', 'filter_out':
False, '__type__': 'Terminal'}], 'order': 1, 'alias': 'imported', 'options': {'keep_all_tokens':
False, 'expand1': True, 'priority': None, 'template_source': None, 'empty_indices': (),
'__type__': 'RuleOptions'}, '__type__': 'Rule'}, 30: {'origin': {'name': 'start', '__type__':
'NonTerminal'}, 'expansion': [{'name': 'head', '__type__': 'NonTerminal'}, {'name': 'EQUAL',
'filter_out': True, '__type__': 'Terminal'}, {'name': 'expression', '__type__': 'NonTerminal'}],
'order': 2, 'alias': 'definition', 'options': {'keep_all_tokens': False, 'expand1': True,
'priority': None, 'template_source': None, 'empty_indices': (), '__type__': 'RuleOptions'},
'__type__': 'Rule'}, 31: {'origin': {'name': 'head', '__type__': 'NonTerminal'}, 'expansion':
[{'name': 'name', '__type__': 'NonTerminal'}], 'order': 0, 'alias': None, 'options':
{'keep_all_tokens': False, 'expand1': True, 'priority': None, 'template_source': None,
'empty_indices': (), '__type__': 'RuleOptions'}, '__type__': 'Rule'}, 32: {'origin': {'name':
'head', '__type__': 'NonTerminal'}, 'expansion': [{'name': 'call', '__type__': 'NonTerminal'}],
'order': 1, 'alias': None, 'options': {'keep_all_tokens': False, 'expand1': True, 'priority':
None, 'template_source': None, 'empty_indices': (), '__type__': 'RuleOptions'}, '__type__':
'Rule'}, 33: {'origin': {'name': 'expression', '__type__': 'NonTerminal'}, 'expansion': [{'name':
'sum', '__type__': 'NonTerminal'}], 'order': 0, 'alias': None, 'options': {'keep_all_tokens':
False, 'expand1': True, 'priority': None, 'template_source': None, 'empty_indices': (),
'__type__': 'RuleOptions'}, '__type__': 'Rule'}, 34: {'origin': {'name': 'expression', '__type__':
'NonTerminal'}, 'expansion': [{'name': 'IF', 'filter_out': True, '__type__': 'Terminal'}, {'name':
'condition', '__type__': 'NonTerminal'}, {'name': 'THEN', 'filter_out': True, '__type__':
'Terminal'}, {'name': 'expression', '__type__': 'NonTerminal'}, {'name': 'ELSE', 'filter_out':
True, '__type__': 'Terminal'}, {'name': 'expression', '__type__': 'NonTerminal'}], 'order': 1,
'alias': 'conditional', 'options': {'keep_all_tokens': False, 'expand1': True, 'priority': None,
'template_source': None, 'empty_indices': (), '__type__': 'RuleOptions'}, '__type__': 'Rule'}, 35:
{'origin': {'name': 'condition', '__type__': 'NonTerminal'}, 'expansion': [{'name': 'conjunction',
'__type__': 'NonTerminal'}], 'order': 0, 'alias': None, 'options': {'keep_all_tokens': False,
'expand1': True, 'priority': None, 'template_source': None, 'empty_indices': (), '__type__':
'RuleOptions'}, '__type__': 'Rule'}, 36: {'origin': {'name': 'condition', '__type__':
'NonTerminal'}, 'expansion': [{'name': 'conjunction', '__type__': 'NonTerminal'}, {'name':
'__condition_plus_0', '__type__': 'NonTerminal'}], 'order': 1, 'alias': 'disjunction', 'options':
{'keep_all_tokens': False, 'expand1': True, 'priority': None, 'template_source': None,
'empty_indices': (), '__type__': 'RuleOptions'}, '__type__': 'Rule'}, 37: {'origin': {'name':
'conjunction', '__type__': 'NonTerminal'}, 'expansion': [{'name': 'inverse', '__type__':
'NonTerminal'}], 'order': 0, 'alias': None, 'options': {'keep_all_tokens': False, 'expand1': True,
'priority': None, 'template_source': None, 'empty_indices': (), '__type__': 'RuleOptions'},
'__type__': 'Rule'}, 38: {'origin': {'name': 'conjunction', '__type__': 'NonTerminal'},
'expansion': [{'name': 'inverse', '__type__': 'NonTerminal'}, {'name': '__conjunction_plus_1',
'__type__': 'NonTerminal'}], 'order': 1, 'alias': 'conjunction', 'options': {'keep_all_tokens':
False, 'expand1': True, 'priority': None, 'template_source': None, 'empty_indices': (),
'__type__': 'RuleOptions'}, '__type__': 'Rule'}, 39: {'origin': {'name': 'inverse', '__type__':
'NonTerminal'}, 'expansion': [{'name': 'comparison', '__type__': 'NonTerminal'}], 'order': 0,
'alias': None, 'options': {'keep_all_tokens': False, 'expand1': True, 'priority': None,
'template_source': None, 'empty_indices': (), '__type__': 'RuleOptions'}, '__type__': 'Rule'}, 40:
{'origin': {'name': 'inverse', '__type__': 'NonTerminal'}, 'expansion': [{'name': 'NOT',
'filter_out': True, '__type__': 'Terminal'}, {'name': 'inverse', '__type__': 'NonTerminal'}],
'order': 1, 'alias': 'inverse', 'options': {'keep_all_tokens': False, 'expand1': True, 'priority':
None, 'template_source': None, 'empty_indices': (), '__type__': 'RuleOptions'}, '__type__':
'Rule'}, 41: {'origin': {'name': 'comparison', '__type__': 'NonTerminal'}, 'expansion': [{'name':
'sum', '__type__': 'NonTerminal'}, {'name': 'COMPARATOR', 'filter_out': False, '__type__':
'Terminal'}, {'name': 'sum', '__type__': 'NonTerminal'}], 'order': 0, 'alias': None, 'options':
{'keep_all_tokens': False, 'expand1': True, 'priority': None, 'template_source': None,
'empty_indices': (), '__type__': 'RuleOptions'}, '__type__': 'Rule'}, 42: {'origin': {'name':
'comparison', '__type__': 'NonTerminal'}, 'expansion': [{'name': 'LPAR', 'filter_out': True,
'__type__': 'Terminal'}, {'name': 'condition', '__type__': 'NonTerminal'}, {'name': 'RPAR',
'filter_out': True, '__type__': 'Terminal'}], 'order': 1, 'alias': None, 'options':
{'keep_all_tokens': False, 'expand1': True, 'priority': None, 'template_source': None,
'empty_indices': (), '__type__': 'RuleOptions'}, '__type__': 'Rule'}, 43: {'origin': {'name':
'sum', '__type__': 'NonTerminal'}, 'expansion': [{'name': 'product', '__type__': 'NonTerminal'},
{'name': '__sum_star_2', '__type__': 'NonTerminal'}], 'order': 0, 'alias': None, 'options':
{'keep_all_tokens': False, 'expand1': True, 'priority': None, 'template_source': None,
'empty_indices': (), '__type__': 'RuleOptions'}, '__type__': 'Rule'}, 44: {'origin': {'name':
'sum', '__type__': 'NonTerminal'}, 'expansion': [{'name': 'product', '__type__': 'NonTerminal'}],
'order': 1, 'alias': None, 'options': {'keep_all_tokens': False, 'expand1': True, 'priority':
None, 'template_source': None, 'empty_indices': (), '__type__': 'RuleOptions'}, '__type__':
'Rule'}, 45: {'origin': {'name': 'product', '__type__': 'NonTerminal'}, 'expansion': [{'name':
'unary', '__type__': 'NonTerminal'}, {'name': '__product_star_3', '__type__': 'NonTerminal'}],
'order': 0, 'alias': None, 'options': {'keep_all_tokens': False, 'expand1': True, 'priority':
None, 'template_source': None, 'empty_indices': (), '__type__': 'RuleOptions'}, '__type__':
'Rule'}, 46: {'origin': {'name': 'product', '__type__': 'NonTerminal'}, 'expansion': [{'name':
'unary', '__type__': 'NonTerminal'}], 'order': 1, 'alias': None, 'options': {'keep_all_tokens':
False, 'expand1': True, 'priority': None, 'template_source': None, 'empty_indices': (),
'__type__': 'RuleOptions'}, '__type__': 'Rule'}, 47: {'origin': {'name': 'unary', '__type__':
'NonTerminal'}, 'expansion': [{'name': 'MINUS', 'filter_out': True, '__type__': 'Terminal'},
{'name': 'unary', '__type__': 'NonTerminal'}], 'order': 0, 'alias': 'negation', 'options':
{'keep_all_tokens': False, 'expand1': True, 'priority': None, 'template_source': None,
'empty_indices': (), '__type__': 'RuleOptions'}, '__type__': 'Rule'}, 48: {'origin': {'name':
'unary', '__type__': 'NonTerminal'}, 'expansion': [{'name': 'PLUS', 'filter_out': True,
'__type__': 'Terminal'}, {'name': 'unary', '__type__': 'NonTerminal'}], 'order': 1, 'alias': None,
'options': {'keep_all_tokens': False, 'expand1': True, 'priority': None, 'template_source': None,
'empty_indices': (), '__type__': 'RuleOptions'}, '__type__': 'Rule'}, 49: {'origin': {'name':
'unary', '__type__': 'NonTerminal'}, 'expansion': [{'name': 'power', '__type__': 'NonTerminal'}],
'order': 2, 'alias': None, 'options': {'keep_all_tokens': False, 'expand1': True, 'priority':
None, 'template_source': None, 'empty_indices': (), '__type__': 'RuleOptions'}, '__type__':
'Rule'}, 50: {'origin': {'name': 'power', '__type__': 'NonTerminal'}, 'expansion': [{'name':
'atom', '__type__': 'NonTerminal'}], 'order': 0, 'alias': None, 'options': {'keep_all_tokens':
False, 'expand1': True, 'priority': None, 'template_source': None, 'empty_indices': (),
'__type__': 'RuleOptions'}, '__type__': 'Rule'}, 51: {'origin': {'name': 'power', '__type__':
'NonTerminal'}, 'expansion': [{'name': 'atom', '__type__': 'NonTerminal'}, {'name':
'_POWER_OPERATOR', 'filter_out': True, '__type__': 'Terminal'}, {'name': 'unary', '__type__':
'NonTerminal'}], 'order': 1, 'alias': 'power', 'options': {'keep_all_tokens': False, 'expand1':
True, 'priority': None, 'template_source': None, 'empty_indices': (), '__type__': 'RuleOptions'},
'__type__': 'Rule'}, 52: {'origin': {'name': 'atom', '__type__': 'NonTerminal'}, 'expansion':
[{'name': 'NUMBER', 'filter_out': False, '__type__': 'Terminal'}], 'order': 0, 'alias': 'number',
'options': {'keep_all_tokens': False, 'expand1': True, 'priority': None, 'template_source': None,
'empty_indices': (), '__type__': 'RuleOptions'}, '__type__': 'Rule'}, 53: {'origin': {'name':
'atom', '__type__': 'NonTerminal'}, 'expansion': [{'name': 'subject', '__type__': 'NonTerminal'}],
'order': 1, 'alias': None, 'options': {'keep_all_tokens': False, 'expand1': True, 'priority':
None, 'template_source': None, 'empty_indices': (), '__type__': 'RuleOptions'}, '__type__':
'Rule'}, 54: {'origin': {'name': 'atom', '__type__': 'NonTerminal'}, 'expansion': [{'name':
'LPAR', 'filter_out': True, '__type__': 'Terminal'}, {'name': 'expression', '__type__':
'NonTerminal'}, {'name': 'RPAR', 'filter_out': True, '__type__': 'Terminal'}], 'order': 2,
'alias': None, 'options': {'keep_all_tokens': False, 'expand1': True, 'priority': None,
'template_source': None, 'empty_indices': (), '__type__': 'RuleOptions'}, '__type__': 'Rule'}, 55:
{'origin': {'name': 'subject', '__type__': 'NonTerminal'}, 'expansion': [{'name': 'name',
'__type__': 'NonTerminal'}], 'order': 0, 'alias': None, 'options': {'keep_all_tokens': False,
'expand1': True, 'priority': None, 'template_source': None, 'empty_indices': (), '__type__':
'RuleOptions'}, '__type__': 'Rule'}, 56: {'origin': {'name': 'subject', '__type__':
'NonTerminal'}, 'expansion': [{'name': 'call', '__type__': 'NonTerminal'}], 'order': 1, 'alias':
None, 'options': {'keep_all_tokens': False, 'expand1': True, 'priority': None, 'template_source':
None, 'empty_indices': (), '__type__': 'RuleOptions'}, '__type__': 'Rule'}, 57: {'origin':
{'name': 'subject', '__type__': 'NonTerminal'}, 'expansion': [{'name': 'subject', '__type__':
'NonTerminal'}, {'name': 'LSQB', 'filter_out': True, '__type__': 'Terminal'}, {'name': 'NAME',
'filter_out': False, '__type__': 'Terminal'}, {'name': 'RSQB', 'filter_out': True, '__type__':
'Terminal'}], 'order': 2, 'alias': 'indexed', 'options': {'keep_all_tokens': False, 'expand1':
True, 'priority': None, 'template_source': None, 'empty_indices': (), '__type__': 'RuleOptions'},
'__type__': 'Rule'}, 58: {'origin': {'name': 'name', '__type__': 'NonTerminal'}, 'expansion':
[{'name': 'NAME', 'filter_out': False, '__type__': 'Terminal'}], 'order': 0, 'alias': None,
'options': {'keep_all_tokens': False, 'expand1': False, 'priority': None, 'template_source': None,
'empty_indices': (), '__type__': 'RuleOptions'}, '__type__': 'Rule'}, 59: {'origin': {'name':
'call', '__type__': 'NonTerminal'}, 'expansion': [{'name': 'NAME', 'filter_out': False,
'__type__': 'Terminal'}, {'name': 'LPAR', 'filter_out': True, '__type__': 'Terminal'}, {'name':
'argument', '__type__': 'NonTerminal'}, {'name': '__call_star_4', '__type__': 'NonTerminal'},
{'name': 'RPAR', 'filter_out': True, '__type__': 'Terminal'}], 'order': 0, 'alias': None,
'options': {'keep_all_tokens': False, 'expand1': False, 'priority': None, 'template_source': None,
'empty_indices': (), '__type__': 'RuleOptions'}, '__type__': 'Rule'}, 60: {'origin': {'name':
'call', '__type__': 'NonTerminal'}, 'expansion': [{'name': 'NAME', 'filter_out': False,
'__type__': 'Terminal'}, {'name': 'LPAR', 'filter_out': True, '__type__': 'Terminal'}, {'name':
'argument', '__type__': 'NonTerminal'}, {'name': 'RPAR', 'filter_out': True, '__type__':
'Terminal'}], 'order': 1, 'alias': None, 'options': {'keep_all_tokens': False, 'expand1': False,
'priority': None, 'template_source': None, 'empty_indices': (), '__type__': 'RuleOptions'},
'__type__': 'Rule'}, 61: {'origin': {'name': 'call', '__type__': 'NonTerminal'}, 'expansion':
[{'name': 'NAME', 'filter_out': False, '__type__': 'Terminal'}, {'name': 'LPAR', 'filter_out':
True, '__type__': 'Terminal'}, {'name': 'RPAR', 'filter_out': True, '__type__': 'Terminal'}],
'order': 2, 'alias': None, 'options': {'keep_all_tokens': False, 'expand1': False, 'priority':
None, 'template_source': None, 'empty_indices': (False, False, True, False), '__type__':
'RuleOptions'}, '__type__': 'Rule'}, 62: {'origin': {'name': 'argument', '__type__':
'NonTerminal'}, 'expansion': [{'name': 'expression', '__type__': 'NonTerminal'}], 'order': 0,
'alias': None, 'options': {'keep_all_tokens': False, 'expand1': False, 'priority': None,
'template_source': None, 'empty_indices': (), '__type__': 'RuleOptions'}, '__type__': 'Rule'}, 63:
{'origin': {'name': 'argument', '__type__': 'NonTerminal'}, 'expansion': [{'name': 'NAME',
'filter_out': False, '__type__': 'Terminal'}, {'name': 'EQUAL', 'filter_out': True, '__type__':
'Terminal'}, {'name': 'expression', '__type__': 'NonTerminal'}], 'order': 1, 'alias': 'named',
'options': {'keep_all_tokens': False, 'expand1': False, 'priority': None, 'template_source': None,
'empty_indices': (), '__type__': 'RuleOptions'}, '__type__': 'Rule'}, 64: {'origin': {'name':
'argument', '__type__': 'NonTerminal'}, 'expansion': [{'name': 'NAME', 'filter_out': False,
'__type__': 'Terminal'}, {'name': 'EQUAL', 'filter_out': True, '__type__': 'Terminal'}, {'name':
'expression', '__type__': 'NonTerminal'}, {'name': 'IN', 'filter_out': True, '__type__':
'Terminal'}, {'name': 'interval', '__type__': 'NonTerminal'}], 'order': 2, 'alias': 'ranged',
'options': {'keep_all_tokens': False, 'expand1': False, 'priority': None, 'template_source': None,
'empty_indices': (), '__type__': 'RuleOptions'}, '__type__': 'Rule'}, 65: {'origin': {'name':
'argument', '__type__': 'NonTerminal'}, 'expansion': [{'name': 'NAME', 'filter_out': False,
'__type__': 'Terminal'}, {'name': 'IN', 'filter_out': True, '__type__': 'Terminal'}, {'name':
'interval', '__type__': 'NonTerminal'}], 'order': 3, 'alias': 'undefaulted', 'options':
{'keep_all_tokens': False, 'expand1': False, 'priority': None, 'template_source': None,
'empty_indices': (), '__type__': 'RuleOptions'}, '__type__': 'Rule'}, 66: {'origin': {'name':
'interval', '__type__': 'NonTerminal'}, 'expansion': [{'name': 'OPEN', 'filter_out': False,
'__type__': 'Terminal'}, {'name': 'bound', '__type__': 'NonTerminal'}, {'name': 'COMMA',
'filter_out': True, '__type__': 'Terminal'}, {'name': 'bound', '__type__': 'NonTerminal'},
{'name': 'CLOSE', 'filter_out': False, '__type__': 'Terminal'}], 'order': 0, 'alias': None,
'options': {'keep_all_tokens': False, 'expand1': False, 'priority': None, 'template_source': None,
'empty_indices': (), '__type__': 'RuleOptions'}, '__type__': 'Rule'}, 67: {'origin': {'name':
'bound', '__type__': 'NonTerminal'}, 'expansion': [{'name': 'SIGN', 'filter_out': False,
'__type__': 'Terminal'}, {'name': 'NUMBER', 'filter_out': False, '__type__': 'Terminal'}],
'order': 0, 'alias': None, 'options': {'keep_all_tokens': False, 'expand1': False, 'priority':
None, 'template_source': None, 'empty_indices': (), '__type__': 'RuleOptions'}, '__type__':
'Rule'}, 68: {'origin': {'name': 'bound', '__type__': 'NonTerminal'}, 'expansion': [{'name':
'SIGN', 'filter_out': False, '__type__': 'Terminal'}, {'name': 'INF', 'filter_out': False,
'__type__': 'Terminal'}], 'order': 1, 'alias': None, 'options': {'keep_all_tokens': False,
'expand1': False, 'priority': None, 'template_source': None, 'empty_indices': (), '__type__':
'RuleOptions'}, '__type__': 'Rule'}, 69: {'origin': {'name': 'bound', '__type__': 'NonTerminal'},
'expansion': [{'name': 'NUMBER', 'filter_out': False, '__type__': 'Terminal'}], 'order': 2,
'alias': None, 'options': {'keep_all_tokens': False, 'expand1': False, 'priority': None,
'template_source': None, 'empty_indices': (), '__type__': 'RuleOptions'}, '__type__': 'Rule'}, 70:
{'origin': {'name': 'bound', '__type__': 'NonTerminal'}, 'expansion': [{'name': 'INF',
'filter_out': False, '__type__': 'Terminal'}], 'order': 3, 'alias': None, 'options':
{'keep_all_tokens': False, 'expand1': False, 'priority': None, 'template_source': None,
'empty_indices': (), '__type__': 'RuleOptions'}, '__type__': 'Rule'}, 71: {'origin': {'name':
'__condition_plus_0', '__type__': 'NonTerminal'}, 'expansion': [{'name': 'OR', 'filter_out': True,
'__type__': 'Terminal'}, {'name': 'conjunction', '__type__': 'NonTerminal'}], 'order': 0, 'alias':
None, 'options': {'keep_all_tokens': False, 'expand1': False, 'priority': None, 'template_source':
None, 'empty_indices': (), '__type__': 'RuleOptions'}, '__type__': 'Rule'}, 72: {'origin':
{'name': '__condition_plus_0', '__type__': 'NonTerminal'}, 'expansion': [{'name':
'__condition_plus_0', '__type__': 'NonTerminal'}, {'name': 'OR', 'filter_out': True, '__type__':
'Terminal'}, {'name': 'conjunction', '__type__': 'NonTerminal'}], 'order': 1, 'alias': None,
'options': {'keep_all_tokens': False, 'expand1': False, 'priority': None, 'template_source': None,
'empty_indices': (), '__type__': 'RuleOptions'}, '__type__': 'Rule'}, 73: {'origin': {'name':
'__conjunction_plus_1', '__type__': 'NonTerminal'}, 'expansion': [{'name': 'AND', 'filter_out':
True, '__type__': 'Terminal'}, {'name': 'inverse', '__type__': 'NonTerminal'}], 'order': 0,
'alias': None, 'options': {'keep_all_tokens': False, 'expand1': False, 'priority': None,
'template_source': None, 'empty_indices': (), '__type__': 'RuleOptions'}, '__type__': 'Rule'}, 74:
{'origin': {'name': '__conjunction_plus_1', '__type__': 'NonTerminal'}, 'expansion': [{'name':
'__conjunction_plus_1', '__type__': 'NonTerminal'}, {'name': 'AND', 'filter_out': True,
'__type__': 'Terminal'}, {'name': 'inverse', '__type__': 'NonTerminal'}], 'order': 1, 'alias':
None, 'options': {'keep_all_tokens': False, 'expand1': False, 'priority': None, 'template_source':
None, 'empty_indices': (), '__type__': 'RuleOptions'}, '__type__': 'Rule'}, 75: {'origin':
{'name': '__sum_star_2', '__type__': 'NonTerminal'}, 'expansion': [{'name': 'SUM_OPERATOR',
'filter_out': False, '__type__': 'Terminal'}, {'name': 'product', '__type__': 'NonTerminal'}],
'order': 0, 'alias': None, 'options': {'keep_all_tokens': False, 'expand1': False, 'priority':
None, 'template_source': None, 'empty_indices': (), '__type__': 'RuleOptions'}, '__type__':
'Rule'}, 76: {'origin': {'name': '__sum_star_2', '__type__': 'NonTerminal'}, 'expansion':
[{'name': '__sum_star_2', '__type__': 'NonTerminal'}, {'name': 'SUM_OPERATOR', 'filter_out':
False, '__type__': 'Terminal'}, {'name': 'product', '__type__': 'NonTerminal'}], 'order': 1,
'alias': None, 'options': {'keep_all_tokens': False, 'expand1': False, 'priority': None,
'template_source': None, 'empty_indices': (), '__type__': 'RuleOptions'}, '__type__': 'Rule'}, 77:
{'origin': {'name': '__product_star_3', '__type__': 'NonTerminal'}, 'expansion': [{'name':
'PRODUCT_OPERATOR', 'filter_out': False, '__type__': 'Terminal'}, {'name': 'unary', '__type__':
'NonTerminal'}], 'order': 0, 'alias': None, 'options': {'keep_all_tokens': False, 'expand1':
False, 'priority': None, 'template_source': None, 'empty_indices': (), '__type__': 'RuleOptions'},
'__type__': 'Rule'}, 78: {'origin': {'name': '__product_star_3', '__type__': 'NonTerminal'},
'expansion': [{'name': '__product_star_3', '__type__': 'NonTerminal'}, {'name':
'PRODUCT_OPERATOR', 'filter_out': False, '__type__': 'Terminal'}, {'name': 'unary', '__type__':
'NonTerminal'}], 'order': 1, 'alias': None, 'options': {'keep_all_tokens': False, 'expand1':
False, 'priority': None, 'template_source': None, 'empty_indices': (), '__type__': 'RuleOptions'},
'__type__': 'Rule'}, 79: {'origin': {'name': '__call_star_4', '__type__': 'NonTerminal'},
'expansion': [{'name': 'COMMA', 'filter_out': True, '__type__': 'Terminal'}, {'name': 'argument',
'__type__': 'NonTerminal'}], 'order': 0, 'alias': None, 'options': {'keep_all_tokens': False,
'expand1': False, 'priority': None, 'template_source': None, 'empty_indices': (), '__type__':
'RuleOptions'}, '__type__': 'Rule'}, 80: {'origin': {'name': '__call_star_4', '__type__':
'NonTerminal'}, 'expansion': [{'name': '__call_star_4', '__type__': 'NonTerminal'}, {'name':
'COMMA', 'filter_out': True, '__type__': 'Terminal'}, {'name': 'argument', '__type__':
'NonTerminal'}], 'order': 1, 'alias': None, 'options': {'keep_all_tokens': False, 'expand1':
False, 'priority': None, 'template_source': None, 'empty_indices': (), '__type__': 'RuleOptions'},
'__type__': 'Rule'}}
)
