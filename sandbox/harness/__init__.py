"""workload -> plan -> guard and participants -> journals -> history -> checker -> result. Nothing reads backwards."""
