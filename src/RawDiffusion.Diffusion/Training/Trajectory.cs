using RawDiffusion.IO;

namespace RawDiffusion.Diffusion.Training;

/// <summary>The way from noise to samples as an animated GIF: pictures of the states that a sampler goes through.</summary>
/// <param name="steps">Steps of the sampler; of many only some are shown.</param>
/// <param name="draw">Draws the state at a time.</param>
public sealed class Trajectory(int steps, Func<double, Tensor, Image> draw)
{
    private const int MostPictures = 60;
    private const double SecondsEach = 0.08, SecondsOfTheLast = 2;

    private readonly List<Image> _pictures = [];
    private int _seen;

    /// <summary>To be called with the start of sampling and after every step.</summary>
    public void Add(double time, Tensor state)
    {
        // The first, the last, and the others evenly between.
        int shown = Math.Min(steps, MostPictures - 1);
        if ((long)_seen * shown / steps != (long)(_seen - 1) * shown / steps || _seen == 0)
            _pictures.Add(draw(time, state));
        _seen++;
    }

    /// <summary>Writes the file, whole or not at all.</summary>
    public void Save(string path) => AtomicFile.Write(path, stream =>
    {
        using var gif = new GifWriter(stream, _pictures[0].Width, _pictures[0].Height);
        for (int i = 0; i < _pictures.Count; i++)
            gif.Add(_pictures[i], i == _pictures.Count - 1 ? SecondsOfTheLast : SecondsEach);
    });
}
