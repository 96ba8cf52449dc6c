using RawDiffusion.Diffusion.Models;

namespace RawDiffusion.Tests.Diffusion.Models;

/// <summary>One table of embeddings for several kinds of labels.</summary>
public class LabelTableTests
{
    private const int Not = LabelTable.NotTold;

    /// <summary>Of one kind the rows are the classes, and one for "not told" after them, as networks with classes have had it.</summary>
    [Fact]
    public void One_kind_is_a_table_of_classes_and_one_row_more()
    {
        var table = new LabelTable(10);
        Assert.Equal(11, table.Rows);
        var rows = table.Indices([3, Not, 9]);
        Assert.Equal(new Shape(3), rows.Shape);
        Assert.Equal([3, 10, 9], rows.ToInt32Array());
    }

    [Fact]
    public void Several_kinds_stand_one_after_the_other()
    {
        var table = new LabelTable(10, 4, 2);
        Assert.Equal(11 + 5 + 3, table.Rows);
        var rows = table.Indices([3, 0, 1, Not, Not, Not]);
        Assert.Equal(new Shape(2, 3), rows.Shape);
        Assert.Equal([3, 11, 17, 10, 15, 18], rows.ToInt32Array());
    }

    [Fact]
    public void A_network_adds_up_the_embeddings_of_all_labels()
    {
        var table = new LabelTable(3, 2);
        var model = new MlpDenoiser(new Generator(1), Device.Reference, labels: table.Rows);
        Tensor x = Tensor.Randn(new Generator(2), [1, 2], Device.Reference), t = Tensor.Full([1], 500, Device.Reference);
        double[] both = model.Forward(x, t, table.Indices([2, 1], Device.Reference)).ToDoubleArray();

        // The same by a network of one label whose embedding is the sum of rows 2 and 4 + 1.
        var one = new MlpDenoiser(new Generator(1), Device.Reference, labels: table.Rows);
        var state = model.StateDict().ToDictionary(p => p.Key, p => p.Value);
        var weight = state["label.weight"].Detach();
        state["label.weight"] = Tensor.Concat([weight.Slice(0, 2, 1) + weight.Slice(0, 5, 1), weight.Slice(0, 1, table.Rows - 1)]);
        one.LoadStateDict(state);
        Assert.Equal(one.Forward(x, t, Tensor.From([0], [1], Device.Reference)).ToDoubleArray(), both);
    }

    [Fact]
    public void A_UNet_takes_one_label_or_several_from_the_table_of_diffusers()
    {
        var table = new LabelTable(10, 4);
        var model = new UNet2D(
            new UNet2DConfig
            {
                InChannels = 1, OutChannels = 1, BlockOutChannels = [8], DownBlockTypes = ["DownBlock2D"], UpBlockTypes = ["UpBlock2D"],
                NormNumGroups = 4, LayersPerBlock = 1, AddAttention = false, NumClassEmbeds = table.Rows,
            },
            new Generator(1));
        Assert.Equal(new Shape(table.Rows, 32), model.NamedParameters().Single(p => p.Name == "class_embedding.weight").Parameter.Shape);
        Tensor x = Tensor.Randn(new Generator(2), [2, 8, 8, 1]), t = Tensor.Ones([2]);
        float[] With(params int[] values) => model.Forward(x, t, table.Indices(values)).ToArray();
        float[] all = With(3, 1, 3, 1);
        Assert.NotEqual(all, With(3, 2, 3, 2));
        Assert.NotEqual(all, With(3, Not, 3, Not));
        Assert.NotEqual(all, With(4, 1, 4, 1));
        Assert.Contains("labels of 2 images", Assert.Throws<ArgumentException>(() => model.Forward(x, t, Tensor.From([1, 2, 3], [3, 1]))).Message);
    }

    /// <summary>
    /// With a chance of 0.2: nothing is told of 0.2 and 0.8 x 0.2^2, everything of 0.8 x 0.8^2, the first alone of 0.8 x 0.8 x 0.2. Of 20,000
    /// samples the shares scatter by less than 0.0036; four times that is allowed.
    /// </summary>
    [Fact]
    public void Every_selection_of_labels_is_seen_in_training()
    {
        const int Count = 20_000;
        var table = new LabelTable(10, 4);
        int[] values = [.. Enumerable.Range(0, 2 * Count).Select(_ => 1)];
        table.Drop(values, 0.2, new Generator(1));
        double Share(bool first, bool second) =>
            (double)Enumerable.Range(0, Count).Count(i => values[2 * i] != Not == first && values[2 * i + 1] != Not == second) / Count;
        Assert.Equal(0.2 + 0.8 * 0.04, Share(false, false), 0.0145);
        Assert.Equal(0.8 * 0.64, Share(true, true), 0.0145);
        Assert.Equal(0.8 * 0.16, Share(true, false), 0.0145);
        Assert.Equal(0.8 * 0.16, Share(false, true), 0.0145);
    }

    [Fact]
    public void Labels_that_are_none_are_named()
    {
        string Message(Action action) => Assert.Throws<ArgumentException>(action).Message;
        Assert.Contains("label 4 of kind 1 is not in [0, 3]", Message(() => new LabelTable(10, 4).Indices([3, 4])));
        Assert.Contains("label -2 of kind 0", Message(() => new LabelTable(10).Indices([-2])));
        Assert.Contains("3 values are not 2 for each sample", Message(() => new LabelTable(10, 4).Indices([1, 2, 3])));
        Assert.Contains("at least one value, not 0", Message(() => new LabelTable(10, 0)));
        Assert.Contains("no kind", Message(() => new LabelTable()));
    }
}
