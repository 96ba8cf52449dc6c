namespace RawDiffusion.Diffusion.Data;

/// <summary>
/// The test piece of two-dimensional generative models: eight equal Gaussians of standard deviation 0.1, equally spaced on the
/// circle of radius 2, the first at angle 0. A model that is right must find all the modes and leave the gaps empty.
/// </summary>
public sealed class EightGaussians() : GaussianMixture(MakeComponents())
{
    public const int Modes = 8;
    public const double Radius = 2;
    public const double StandardDeviation = 0.1;

    private static GaussianComponent[] MakeComponents()
    {
        var components = new GaussianComponent[Modes];
        for (int k = 0; k < Modes; k++)
        {
            var (sin, cos) = Math.SinCos(2 * Math.PI * k / Modes);
            components[k] = new GaussianComponent(new Point2(Radius * cos, Radius * sin), StandardDeviation, 1.0 / Modes);
        }
        return components;
    }
}
