using System.Text.Json.Nodes;
using RawDiffusion.Diffusion.Data;

namespace RawDiffusion.Diffusion.Training.Configuration;

/// <summary>Settings that are of use only together with others.</summary>
internal static class UnusedSettings
{
    /// <exception cref="ConfigException">One of the settings given changes nothing; the message says what it is for.</exception>
    public static void Check(RunConfig config, JsonObject given)
    {
        foreach (var (section, value) in given)
        {
            foreach (var (name, _) in value as JsonObject ?? [])
            {
                string key = $"{section}.{name}";
                if (WhyUnused(config, key) is { } why)
                    throw new ConfigException(key, why);
            }
        }
    }

    /// <summary>The same of whatever is not as it is where nothing is said.</summary>
    /// <exception cref="ConfigException">One of them changes nothing.</exception>
    public static void Check(RunConfig config)
    {
        var (sampling, unset) = (config.Sampling, new SamplingConfig());
        var said = new JsonObject();
        if (sampling.Eta != unset.Eta)
            said["eta"] = sampling.Eta;
        if (sampling.GuidanceInterval is not null)
            said["guidanceInterval"] = new JsonArray();
        if (sampling.GuidanceRescale != unset.GuidanceRescale)
            said["guidanceRescale"] = sampling.GuidanceRescale;
        Check(config, new JsonObject { ["sampling"] = said });
    }

    private static string? WhyUnused(RunConfig config, string key)
    {
        var sampling = config.Sampling;
        bool isClassifierFree = sampling.Guidance != 1 || (sampling.GuidanceOf?.Values.Any(scale => scale != 1) ?? false);
        return key switch
        {
            "sampling.eta" when !NamedSampler.All[sampling.Sampler].TakesEta =>
                $" is for {string.Join(" and ", NamedSampler.All.Where(named => named.Value.TakesEta).Select(named => named.Key))}; the sampler is {sampling.Sampler}",
            "sampling.guidanceInterval" when !isClassifierFree && sampling.ClassifierGuidance == 0 =>
                " says where to guide, and samples are not guided; give --guidance or --classifier-guidance too",
            "sampling.guidanceRescale" when !isClassifierFree => " is for classifier-free guidance, and there is none; give --guidance too",
            "training.labelDropout" when !config.Model.Conditional => " is for a network that is told classes, and this one is not; give --conditional too",
            "data.directory" when !DataSets.Find(config.Data.Name).HasFiles => $" is for data that come in files, and {config.Data.Name} are made on the fly",
            _ => null,
        };
    }
}
