using System.Buffers;
using RawDiffusion.Backends;

namespace RawDiffusion.Diffusion.Data;

/// <summary>
/// A finite set of images as a data set: every image once per epoch, each epoch in a random order of its own. A batch may begin in
/// one epoch and end in the next.
/// </summary>
/// <remarks>
/// Images stay bytes and become floats batch by batch: for 60,000 digits that is 47 MB instead of 188, and what a batch of 64 costs
/// (some tens of microseconds) is lost beside any training step. The indices of a batch are decided before its images are touched,
/// so a GPU gathers them from a copy in its own memory; images that are shifted or mirrored are made here.
/// </remarks>
public sealed class ImageData : ITrainingData
{
    private const ulong OrderStream = 0x4F52444552, AugmentationStream = 0x4155474D454E54;

    private readonly LabelKind _labels;

    // The orders of two epochs: a batch that straddles them, and the next one, find both.
    private readonly Order?[] _orders = new Order?[2];
    private readonly Lock _lock = new();

    /// <param name="labels">What the labels mean: one value per class.</param>
    /// <param name="heldOut">Images of the same kind to be judged by.</param>
    /// <exception cref="ArgumentException">There are no images, or the parts do not fit each other.</exception>
    public ImageData(string name, LabelKind labels, LabelledImages images, LabelledImages heldOut)
        : this(name, labels, images)
    {
        if ((heldOut.Height, heldOut.Width, heldOut.Channels) != (images.Height, images.Width, images.Channels))
            throw new ArgumentException($"ImageData: the images to be judged by are of another size than those of {name}.");
        HeldOut = new ImageData(name, labels, heldOut);
    }

    private ImageData(string name, LabelKind labels, LabelledImages images)
    {
        if (images.Count == 0 || images.Classes != labels.Values.Count)
            throw new ArgumentException($"ImageData: {name} has {images.Count} images of {images.Classes} classes; {labels.Values.Count} are named.");
        Name = name;
        Images = images;
        _labels = labels;
        HeldOut = this;
    }

    /// <inheritdoc/>
    public string Name { get; }

    public LabelledImages Images { get; }

    /// <inheritdoc/>
    public Shape SampleShape => [Images.Height, Images.Width, Images.Channels];

    /// <inheritdoc/>
    public IReadOnlyList<LabelKind> LabelKinds => [_labels];

    /// <inheritdoc/>
    public int? Count => Images.Count;

    /// <inheritdoc cref="ITrainingData.HeldOut"/>
    public ImageData HeldOut { get; }

    ITrainingData ITrainingData.HeldOut => HeldOut;

    /// <summary>Images are shifted by up to so many pixels along each axis, differently in every epoch; the border is filled with byte 0.</summary>
    public int MaxShift
    {
        get;
        init
        {
            ArgumentOutOfRangeException.ThrowIfNegative(value);
            field = value;
        }
    }

    /// <summary>Whether half of the images are mirrored left to right, others in every epoch.</summary>
    public bool Mirror { get; init; }

    /// <inheritdoc/>
    public void Fill(Batch batch, long first, ulong seed)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(first);
        int count = batch.X.Shape[0];
        var picks = ArrayPool<ImagePick>.Shared.Rent(count);
        Order? order = null;
        for (int i = 0; i < count; i++)
        {
            var (epoch, position) = Math.DivRem(first + i, Images.Count);
            if (order is null || order.Epoch != epoch)
                order = FindOrder(seed, epoch);
            picks[i] = Augment(order.Indices[position], seed, (ulong)(first + i));
        }
        var chosen = picks.AsSpan(0, count);
        Images.FillImages(batch.X, chosen);
        if (batch.Labels is not null)
            Images.FillLabels(batch.Labels, chosen);
        ArrayPool<ImagePick>.Shared.Return(picks);
    }

    /// <summary>What is random about a sample is drawn from one block of random numbers with the sample's number.</summary>
    private ImagePick Augment(int index, ulong seed, ulong sample)
    {
        if (MaxShift == 0 && !Mirror)
            return new ImagePick(index);
        var (r0, r1, r2, _) = Philox.Block(new PhiloxState(seed, AugmentationStream, 0), sample);
        return new ImagePick(index, Shift(r0), Shift(r1), Mirror && (r2 & 1) != 0);
    }

    /// <summary>A whole number from -MaxShift to MaxShift; the bias of the plain multiply-shift is below 2^-29 for shifts below four pixels.</summary>
    private int Shift(uint r) => (int)((ulong)r * (2 * (uint)MaxShift + 1) >> 32) - MaxShift;

    private Order FindOrder(ulong seed, long epoch)
    {
        lock (_lock)
        {
            // The two slots are by the parity of the epoch, so neighbours do not drive each other out.
            ref var slot = ref _orders[epoch & 1];
            if (slot is null || slot.Seed != seed || slot.Epoch != epoch)
            {
                ulong offset = (ulong)epoch * PhiloxState.Blocks(Images.Count);
                slot = new Order(seed, epoch, new Generator(seed, OrderStream, offset).Permutation(Images.Count));
            }
            return slot;
        }
    }

    private sealed record Order(ulong Seed, long Epoch, int[] Indices);
}
