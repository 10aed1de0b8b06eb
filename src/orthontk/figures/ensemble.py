def draw_ensemble(directory):
    pass
