using RawDiffusion.Backends;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Diffusion.Objectives;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Training;
using RawDiffusion.Diffusion.Training.Configuration;
using RawDiffusion.Optim;

namespace RawDiffusion.Diffusion.Editing;

/// <summary>
/// Inpainting by a network that is told what is known: its input is the noisy image and, as further channels, the known part and the mask
/// (Saharia et al. 2022, Palette; Nichol et al. 2022, GLIDE, section 3.3). Made from an unconditional network and fine-tuned with random masks.
/// </summary>
public static class MaskConditioning
{
    // Nothing else of a training is drawn from this stream.
    private const ulong MaskStream = 0x6D61736B73;

    /// <summary>
    /// A network with three times the input channels that answers just as the old one does: the weights of the new channels are 0.
    /// </summary>
    /// <param name="unconditional">C channels. It is left as it is.</param>
    /// <returns>3 C channels: of x_t, of the known part, and of the mask.</returns>
    /// <exception cref="ArgumentException">The network is told classes.</exception>
    public static UNet2D Widen(UNet2D unconditional)
    {
        var config = unconditional.Config;
        if (config.HasClasses)
            throw new ArgumentException("only a network that is told no classes can be told a mask instead");
        var device = unconditional.ConvIn.Weight.Device;
        var widened = new UNet2D(config with { InChannels = 3 * config.InChannels }, new Generator(0), device);
        var state = new Dictionary<string, Tensor>(unconditional.StateDict());
        using var noGrad = new NoGrad();
        using var scope = new MemoryScope();
        string first = unconditional.NamedParameters().Single(named => named.Parameter == unconditional.ConvIn.Weight).Name;
        // [out, height, width, in]
        state[first] = unconditional.ConvIn.Weight.Detach().Pad([0, 0, 0, 0], [0, 0, 0, 2 * config.InChannels]);
        widened.LoadStateDict(state);
        return widened;
    }

    /// <summary>What the network is told: the known part, 0 where nothing is known, and the mask.</summary>
    /// <returns>[n, h, w, 2 C].</returns>
    public static Tensor Channels(KnownPart known) => Tensor.Concat([known.X, known.Mask], axis: 3);

    /// <summary>
    /// The denoiser of images with a known part; any sampler makes such images with it. The known part comes out nearly as it is: <see cref="KnownPart.Fill"/>
    /// puts it in exactly.
    /// </summary>
    /// <param name="network">See <see cref="Widen"/>.</param>
    public static Denoiser Denoiser(UNet2D network, ForwardProcess process, Parameterisation parameterisation, KnownPart known)
    {
        var channels = Channels(known);
        return new Denoiser((x, times) => Forward(network, x, times, channels), process, parameterisation);
    }

    /// <summary>Trains a network of <see cref="Widen"/> to fill in random masks, and leaves the average of its weights in it.</summary>
    /// <param name="data">Images.</param>
    /// <exception cref="OperationCanceledException">It was asked to stop.</exception>
    public static void FineTune(
        UNet2D network, ForwardProcess process, Parameterisation parameterisation, ITrainingData data, TrainingConfig training, ulong seed,
        IRunReporter reporter, CancellationToken stop = default)
    {
        var device = network.ConvIn.Weight.Device;
        var schedule = new DiscreteSchedule(process, device: device);
        var noise = new Generator(seed, RandomStreams.Noise);
        var state = TrainingState.New(network, WeightFiles.UNet(network), training, ("dropout", network.DropoutGenerator), ("noise", noise));
        network.Train();
        BatchSource batches = (first, count) =>
        {
            var x0 = data.Draw(first, count, seed, device).X;
            var masks = RandomMasks.Draw(count, x0.Shape[1], x0.Shape[2], new Generator(seed, MaskStream, RandomMasks.Offset(first)), device);
            return new NoisedBatch(
                (x, times, channels) => Forward(network, x, times, channels!), schedule, x0, Channels(new KnownPart(x0, masks)), noise, parameterisation);
        };
        Trainer.Fit(state, training, batches, reporter, "fine-tune", stop);
    }

    private static Tensor Forward(UNet2D network, Tensor x, Tensor times, Tensor channels) =>
        network.Forward(Tensor.Concat([x, channels], axis: 3), times);
}
