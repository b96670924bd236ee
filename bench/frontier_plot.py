"""The frontier as a picture: memory held over memory live to the right, time per image upwards."""


def draw(points, path):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5))
    ours = sorted((p for p in points if p["allocator"].startswith("cached")), key=lambda p: p["held_per_live"])
    axes.plot(
        [p["held_per_live"] for p in ours],
        [p["us_per_image"] for p in ours],
        "o-",
        label="nvcv-cached, limits 1.1 to 3 x live",
    )
    for point in points:
        if point["allocator"].startswith("cached"):
            continue
        axes.plot(point["held_per_live"], point["us_per_image"], "s", label=point["allocator"])
    axes.set_yscale("log")
    axes.set_xlabel("bytes held / bytes live, at peak")
    axes.set_ylabel("microseconds per image (made, first touch, dropped)")
    axes.set_title("Random images between 480x640 and 2160x3840, 32 live")
    axes.grid(True, which="both", alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
