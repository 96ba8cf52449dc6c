using RawDiffusion.Diffusion.Models;
using RawDiffusion.IO;
using RawDiffusion.Nn;

namespace RawDiffusion.Diffusion.Training;

/// <summary>How the weights of a network are kept in a folder.</summary>
/// <param name="Save">Writes the present weights into a folder that it makes.</param>
/// <param name="Load">Copies the weights of a folder into the network.</param>
public sealed record WeightFiles(Action<string> Save, Action<string> Load)
{
    /// <summary>The file of <see cref="Plain"/>.</summary>
    public const string PlainFile = "model.safetensors";

    /// <summary>Keeps any network as one safetensors file with its own names.</summary>
    public static WeightFiles Plain(Module model) => new(
        folder =>
        {
            Directory.CreateDirectory(folder);
            Safetensors.Save(Path.Combine(folder, PlainFile), model.StateDict().Select(tensor => (tensor.Key, tensor.Value)));
        },
        folder => TrainingState.ReadTensors(Path.Combine(folder, PlainFile), model.Parameters()[0].Device, tensors => model.LoadStateDict(tensors)));

    /// <summary>Keeps a UNet as a model folder of diffusers.</summary>
    public static WeightFiles UNet(UNet2D model) => new(
        folder => ModelFolder.Save(folder, model),
        folder =>
        {
            try
            {
                model.LoadStateDict(ModelFolder.Load(folder, model.Parameters()[0].Device).StateDict());
            }
            catch (ArgumentException e)
            {
                throw new FileFormatException(folder, e.Message, e);
            }
        });
}
