using RawDiffusion.Backends;
using RawDiffusion.IO;

namespace RawDiffusion.Diffusion.Models;

/// <summary>
/// A network as diffusers keeps it: a folder with <c>config.json</c> and <c>diffusion_pytorch_model.safetensors</c>. Convolution
/// weights lie [out, in, height, width] in the file and [out, height, width, in] here; linear weights are the same in both.
/// </summary>
public static class ModelFolder
{
    public const string ConfigFile = "config.json", WeightsFile = "diffusion_pytorch_model.safetensors";

    /// <summary>
    /// Reads a network. Weights may be float32, float64, float16 or bfloat16, and may have the names of attention's parameters from
    /// before diffusers 0.15 (<c>query</c>, <c>key</c>, <c>value</c>, <c>proj_attn</c>).
    /// </summary>
    /// <param name="device">Where the network is to live; <see cref="Device.Default"/> if left out.</param>
    /// <exception cref="IOException">There is no such folder, or a file in it is missing.</exception>
    /// <exception cref="FileFormatException">A file is damaged, or the weights are not those of the configuration.</exception>
    public static UNet2D Load(string folder, Backend? device = null)
    {
        var config = UNet2DConfigFile.Read(FileIn(folder, ConfigFile));
        string path = FileIn(folder, WeightsFile);
        using var file = Safetensors.Load(path);
        CheckSize(file, UNet2DSize.Of(config));
        var model = new UNet2D(config, new Generator(0), device);
        var state = new Dictionary<string, Tensor>();
        // What is read goes back to the pool once it has been copied into the parameters.
        using var scope = new MemoryScope();
        foreach (var entry in file.Entries)
        {
            string name = CurrentName(entry.Name);
            if (!state.TryAdd(name, FromFile(name, file.Read(entry.Name, device))))
                throw new FileFormatException(path, $"it has both {FileFormatException.Quote(entry.Name)} and its newer name {FileFormatException.Quote(name)}");
        }
        try
        {
            model.LoadStateDict(state);
        }
        catch (ArgumentException e)
        {
            throw new FileFormatException(path, e.Message, e);
        }
        return model;
    }

    /// <summary>Writes a network; the folder is made where it is not there. Files of these names are replaced.</summary>
    public static void Save(string folder, UNet2D model)
    {
        Directory.CreateDirectory(folder);
        using (var scope = new MemoryScope())
        {
            var tensors = model.NamedParameters().Select(p => (p.Name, p.Parameter.Rank == 4 ? p.Parameter.Detach().Permute(0, 3, 1, 2) : p.Parameter));
            // Readers of PyTorch's files look for this mark.
            Safetensors.Save(Path.Combine(folder, WeightsFile), tensors, new Dictionary<string, string> { ["format"] = "pt" });
        }
        UNet2DConfigFile.Write(Path.Combine(folder, ConfigFile), model.Config);
    }

    private static string FileIn(string folder, string name)
    {
        if (!Directory.Exists(folder))
            throw new DirectoryNotFoundException($"{folder}: there is no such folder");
        string path = Path.Combine(folder, name);
        if (File.Exists(path))
            return path;
        string pickle = Path.ChangeExtension(path, ".bin");
        string hint = File.Exists(pickle) ? $"; {Path.GetFileName(pickle)} is a pickle, which is not read: save it as safetensors" : "";
        throw new FileNotFoundException($"{folder}: there is no {name} in it{hint}");
    }

    /// <summary>Refuses a configuration that asks for far more memory than the file has weights to fill.</summary>
    private static void CheckSize(SafetensorsFile file, UNet2DSize expected)
    {
        long values = file.Entries.Sum(entry => entry.Count);
        if (expected.Values / 2 > values)
        {
            throw new FileFormatException(
                file.Path, $"it has {file.Entries.Count} tensors with {values:N0} values; the network of {ConfigFile} has {expected.Tensors} with {expected.Values:N0}");
        }
    }

    private static Tensor FromFile(string name, Tensor value) => value switch
    {
        // Older attention blocks were 1 x 1 convolutions.
        { Rank: 4 } when name.Contains(".attentions.") => value.Shape[2] * value.Shape[3] == 1 ? value.Reshape(value.Shape[0], value.Shape[1]) : value,
        { Rank: 4 } => value.Permute(0, 2, 3, 1),
        _ => value,
    };

    /// <summary>The name that a tensor has now: attention's parameters had others once.</summary>
    private static string CurrentName(string name)
    {
        string[] parts = name.Split('.');
        int owner = Array.IndexOf(parts, "attentions");
        // attentions.INDEX.query.weight
        if (owner < 0 || owner + 2 >= parts.Length)
            return name;
        parts[owner + 2] = parts[owner + 2] switch
        {
            "query" => "to_q",
            "key" => "to_k",
            "value" => "to_v",
            "proj_attn" => "to_out.0",
            var current => current,
        };
        return string.Join('.', parts);
    }
}
