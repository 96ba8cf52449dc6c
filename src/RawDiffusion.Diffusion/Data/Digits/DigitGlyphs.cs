namespace RawDiffusion.Diffusion.Data.Digits;

/// <summary>A line of the pen: a smooth curve through some of a glyph's knots, in order.</summary>
/// <param name="Knots">Indices. Strokes that meet at a corner share a knot, so that they still meet when knots are moved.</param>
/// <param name="IsClosed">Whether the curve runs on from the last knot to the first.</param>
internal sealed record Stroke(int[] Knots, bool IsClosed = false);

/// <summary>One way to write a digit.</summary>
/// <param name="Knots">x to the right and y down, the digit's height being 1 and its middle the origin.</param>
internal sealed record Glyph((float X, float Y)[] Knots, Stroke[] Strokes);

/// <summary>The shapes of the digits, drawn for this project: knots on the middle line of the pen, as one writes them.</summary>
internal static class DigitGlyphs
{
    /// <summary>No glyph has more knots.</summary>
    public const int MostKnots = 11;

    /// <summary>The ways to write digits 0 to 9.</summary>
    public static Glyph[][] All { get; } =
    [
        [Zero(), OpenZero()],
        [BareOne(), FlaggedOne(), FootedOne()],
        [AngularTwo(), LoopedTwo()],
        [RoundThree(), FlatThree()],
        [OpenFour(), ClosedFour()],
        [Five()],
        [Six(), StraightSix()],
        [Seven(), BarredSeven(), CurvedSeven()],
        [CrossedEight(), StackedEight()],
        [StraightNine(), CurvedNine()],
    ];

    private static Glyph Zero() => new(
        [(0, -.5f), (-.21f, -.36f), (-.29f, 0), (-.21f, .36f), (0, .5f), (.21f, .36f), (.29f, 0), (.21f, -.36f)],
        [new([0, 1, 2, 3, 4, 5, 6, 7], IsClosed: true)]);

    /// <summary>The end of the pen's way runs past its beginning.</summary>
    private static Glyph OpenZero() => new(
        [(.1f, -.43f), (-.08f, -.48f), (-.26f, -.2f), (-.27f, .16f), (-.12f, .46f), (.1f, .47f), (.26f, .2f), (.26f, -.16f), (.12f, -.42f), (-.06f, -.5f)],
        [new([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])]);

    private static Glyph BareOne() => new([(.02f, -.5f), (0, 0), (-.02f, .5f)], [new([0, 1, 2])]);

    private static Glyph FlaggedOne() => new([(-.2f, -.26f), (.06f, -.5f), (.06f, .5f)], [new([0, 1]), new([1, 2])]);

    private static Glyph FootedOne() => new(
        [(-.18f, -.3f), (.03f, -.5f), (.03f, .5f), (-.2f, .5f), (.25f, .5f)], [new([0, 1]), new([1, 2]), new([3, 4])]);

    private static Glyph AngularTwo() => new(
        [(-.26f, -.28f), (-.17f, -.45f), (.04f, -.5f), (.23f, -.4f), (.25f, -.18f), (.1f, .08f), (-.1f, .3f), (-.3f, .5f), (.3f, .5f)],
        [new([0, 1, 2, 3, 4, 5, 6, 7]), new([7, 8])]);

    private static Glyph LoopedTwo() => new(
        [(-.25f, -.32f), (-.08f, -.49f), (.15f, -.46f), (.24f, -.25f), (.12f, .05f), (-.1f, .35f), (-.26f, .46f), (-.28f, .34f), (-.12f, .32f), (.08f, .46f), (.3f, .44f)],
        [new([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10])]);

    private static Glyph RoundThree() => new(
        [(-.25f, -.37f), (-.06f, -.5f), (.17f, -.44f), (.22f, -.24f), (.1f, -.08f), (-.08f, -.03f), (.14f, .02f), (.28f, .2f), (.2f, .42f), (-.02f, .5f), (-.27f, .38f)],
        [new([0, 1, 2, 3, 4, 5]), new([5, 6, 7, 8, 9, 10])]);

    private static Glyph FlatThree() => new(
        [(-.25f, -.5f), (.23f, -.5f), (-.04f, -.12f), (.17f, -.06f), (.28f, .16f), (.19f, .41f), (-.04f, .5f), (-.27f, .39f)],
        [new([0, 1]), new([1, 2]), new([2, 3, 4, 5, 6, 7])]);

    private static Glyph OpenFour() => new(
        [(-.2f, -.46f), (-.27f, .08f), (.3f, .06f), (.17f, -.4f), (.13f, .5f)], [new([0, 1]), new([1, 2]), new([3, 4])]);

    private static Glyph ClosedFour() => new(
        [(.12f, -.5f), (-.3f, .17f), (.32f, .17f), (.12f, .5f)], [new([0, 1]), new([1, 2]), new([0, 3])]);

    private static Glyph Five() => new(
        [(.25f, -.5f), (-.17f, -.5f), (-.22f, -.06f), (-.03f, -.15f), (.19f, -.07f), (.27f, .16f), (.17f, .4f), (-.05f, .5f), (-.27f, .4f)],
        [new([0, 1]), new([1, 2]), new([2, 3, 4, 5, 6, 7, 8])]);

    private static Glyph Six() => new(
        [(.17f, -.49f), (-.08f, -.32f), (-.24f, -.02f), (-.25f, .26f), (-.1f, .47f), (.11f, .48f), (.26f, .3f), (.22f, .08f), (.05f, -.03f), (-.13f, .03f), (-.24f, .2f)],
        [new([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10])]);

    private static Glyph StraightSix() => new(
        [(-.08f, -.5f), (-.21f, -.1f), (-.25f, .22f), (-.13f, .45f), (.08f, .49f), (.26f, .3f), (.23f, .06f), (.03f, -.04f), (-.19f, .12f)],
        [new([0, 1, 2, 3, 4, 5, 6, 7, 8])]);

    private static Glyph Seven() => new([(-.27f, -.5f), (.28f, -.5f), (-.08f, .5f)], [new([0, 1]), new([1, 2])]);

    private static Glyph BarredSeven() => new(
        [(-.27f, -.5f), (.28f, -.5f), (-.06f, .5f), (-.14f, .02f), (.24f, .0f)], [new([0, 1]), new([1, 2]), new([3, 4])]);

    private static Glyph CurvedSeven() => new(
        [(-.28f, -.4f), (-.26f, -.5f), (.28f, -.48f), (.1f, -.12f), (-.03f, .18f), (-.06f, .5f)], [new([0, 1]), new([1, 2]), new([2, 3, 4, 5])]);

    private static Glyph CrossedEight() => new(
        [(0, -.04f), (.18f, -.19f), (.18f, -.38f), (0, -.5f), (-.18f, -.38f), (-.18f, -.19f), (.22f, .13f), (.25f, .34f), (0, .5f), (-.25f, .34f), (-.22f, .13f)],
        [new([0, 1, 2, 3, 4, 5, 0, 6, 7, 8, 9, 10], IsClosed: true)]);

    private static Glyph StackedEight() => new(
        [(0, -.03f), (.2f, -.16f), (.17f, -.42f), (0, -.5f), (-.17f, -.42f), (-.2f, -.16f), (.24f, .12f), (.21f, .42f), (0, .5f), (-.21f, .42f), (-.24f, .12f)],
        [new([0, 1, 2, 3, 4, 5], IsClosed: true), new([0, 6, 7, 8, 9, 10], IsClosed: true)]);

    private static Glyph StraightNine() => new(
        [(.23f, -.34f), (.06f, -.5f), (-.17f, -.42f), (-.25f, -.2f), (-.14f, -.01f), (.07f, -.03f), (.21f, -.17f), (.21f, .1f), (.17f, .5f)],
        [new([0, 1, 2, 3, 4, 5, 6, 0]), new([0, 7, 8])]);

    private static Glyph CurvedNine() => new(
        [(.24f, -.28f), (.1f, -.49f), (-.14f, -.46f), (-.25f, -.24f), (-.15f, -.02f), (.07f, -.01f), (.22f, -.16f), (.25f, .06f), (.14f, .38f), (-.05f, .5f), (-.24f, .41f)],
        [new([0, 1, 2, 3, 4, 5, 6, 0]), new([0, 7, 8, 9, 10])]);
}
